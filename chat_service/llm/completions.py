"""Chat completions as an endpoint sends them, whole or in pieces: checked, made well-formed, and their end found.

Pure: text in, text out. The SDK that reads the result does not validate it.
https://platform.openai.com/docs/api-reference/chat
"""

import json
from collections import defaultdict
from collections.abc import Iterator

from llm.errors import NotAChatCompletion
from llm.json_values import Json, UnreadableJson, read_json
from llm.sse import ServerSentEvent
from llm.well_formed import PiecewiseText, all_well_formed, may_hold_surrogates

END_MARKER = "[DONE]"
"""The data of a stream's last event."""
MAX_TOOL_CALLS = 64
"""Tool calls that one response may have: more than anybody asks for at once. Thousands would stall all other turns."""

_DETAILED_COUNTS = ("cached_tokens", "cache_write_tokens", "reasoning_tokens")
"""What the SDK reads of the details of a usage."""
_FAILURE = '{"error": {"message": "the endpoint sent an event named error"}}'
"""Passed on for an event named `error`. The SDK looks at the data only."""


def read_completion(body: bytes) -> tuple[bytes, str | None]:
    """A whole completion, made well-formed, with its finish reason. Raises NotAChatCompletion."""
    text = body.decode("utf-8-sig", "replace")
    completion = _read(text)
    choices = completion.get("choices")
    if not isinstance(choices, list):
        raise NotAChatCompletion("no choices")
    if not all(isinstance(choice, dict) and isinstance(choice.get("message"), dict) for choice in choices):
        raise NotAChatCompletion("a choice without a message")
    if any(len(_tool_calls(choice.get("message"))) > MAX_TOOL_CALLS for choice in choices if isinstance(choice, dict)):
        raise NotAChatCompletion("too many tool calls")
    reason = next((_finish_reason(choice) for choice in _first_choice(completion)), None)
    if may_hold_surrogates(text) or not _has_readable_usage(completion):
        text = json.dumps(all_well_formed(_without_bad_usage(completion)))
    return text.encode(), reason


class CompletionStream:
    """A streamed completion. It is whole once a piece gave a finish reason, or the end marker came.

    A piece with more of the reply after a finish reason takes that reason back: some endpoints send one too early.
    """

    def __init__(self) -> None:
        self.finish: str | None = None
        self.has_end_marker = False
        self._calls: set[str] = set()
        self._texts: defaultdict[tuple[str, str], PiecewiseText] = defaultdict(PiecewiseText)

    @property
    def is_whole(self) -> bool:
        """Whether the reply has come to its end."""
        return self.has_end_marker or self.finish is not None

    def read(self, event: ServerSentEvent) -> str:
        """The data to pass on for this event. Raises NotAChatCompletion."""
        if event.data.strip() == END_MARKER:
            self.has_end_marker = True
            return END_MARKER
        if event.name == "error":
            return _FAILURE
        received = _read(event.data)
        chunk = _without_bad_usage(received)
        for choice in _first_choice(chunk):
            self._calls.update(_index(call) for call in _tool_calls(choice.get("delta")))
            if len(self._calls) > MAX_TOOL_CALLS:
                raise NotAChatCompletion("too many tool calls")
            reason = _finish_reason(choice)
            if reason is not None or _has_content(choice):
                self.finish = reason
        if may_hold_surrogates(event.data) or any(text.is_waiting for text in self._texts.values()):
            return json.dumps(all_well_formed(self._joined(chunk)))
        return event.data if chunk is received else json.dumps(chunk)

    def _joined(self, chunk: dict[str, Json]) -> dict[str, Json]:
        """The chunk with its texts continued from the chunks before."""
        choices = [self._joined_choice(choice) for choice in _first_choice(chunk)]
        return {**chunk, "choices": choices} if choices else chunk

    def _joined_choice(self, choice: dict[str, Json]) -> dict[str, Json]:
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return choice
        joined = {**delta}
        is_last = _finish_reason(choice) is not None
        for field in ("content", "refusal"):
            text = self._texts["", field]
            piece = joined.get(field)
            added = text.add(piece) if isinstance(piece, str) else ""
            added += text.end() if is_last else ""
            if added or isinstance(piece, str):
                joined[field] = added
        calls = joined.get("tool_calls")
        if isinstance(calls, list):
            joined["tool_calls"] = [self._joined_call(call) for call in calls]
        return {**choice, "delta": joined}

    def _joined_call(self, call: Json) -> Json:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(call, dict) or not isinstance(function, dict):
            return call
        arguments = function.get("arguments")
        if not isinstance(arguments, str):
            return call
        added = self._texts["call", _index(call)].add(arguments)
        return {**call, "function": {**function, "arguments": added}}


def _read(text: str) -> dict[str, Json]:
    try:
        value = read_json(text)
    except UnreadableJson as error:
        raise NotAChatCompletion(str(error)) from error
    if not isinstance(value, dict):
        raise NotAChatCompletion("not a JSON object")
    return value


def _has_readable_usage(completion: dict[str, Json]) -> bool:
    """Whether the SDK can read the counts of tokens. It fails the whole reply if not."""
    usage = completion.get("usage")
    if not isinstance(usage, dict):
        return usage is None
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")]
    details = [usage.get(name) for name in ("prompt_tokens_details", "completion_tokens_details")]
    counts += [it.get(name) for it in details if isinstance(it, dict) for name in _DETAILED_COUNTS]
    return all(isinstance(it, int | None) for it in counts) and all(isinstance(it, dict | None) for it in details)


def _without_bad_usage(completion: dict[str, Json]) -> dict[str, Json]:
    if _has_readable_usage(completion):
        return completion
    return {name: value for name, value in completion.items() if name != "usage"}


def _first_choice(completion: dict[str, Json]) -> Iterator[dict[str, Json]]:
    """The choice that the SDK reads: the one with index 0. None or one."""
    choices = completion.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and choice.get("index", 0) == 0:
            yield choice
            return


def _finish_reason(choice: dict[str, Json]) -> str | None:
    reason = choice.get("finish_reason")
    return reason if isinstance(reason, str) and reason else None


def _tool_calls(message: Json) -> list[Json]:
    """The tool calls in a message or in a piece of one."""
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    return calls if isinstance(calls, list) else []


def _index(call: Json) -> str:
    """What tells a streamed call from the others of its response."""
    return str(call.get("index")) if isinstance(call, dict) else ""


def _has_content(choice: dict[str, Json]) -> bool:
    delta = choice.get("delta")
    return isinstance(delta, dict) and any(delta.get(field) for field in ("content", "refusal", "tool_calls"))
