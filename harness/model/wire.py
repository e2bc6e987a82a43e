"""Encodes a reply of the stand-in model: one completion, or the chunks of a stream."""

import json
from collections.abc import Iterator

from harness.model.script import Reply

COMPLETION_ID = "chatcmpl-bench"

CREATED = 1_700_000_000
"""A fixed time, so that equal requests get equal bytes."""

USAGE = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
DONE = b"data: [DONE]\n\n"


def completion(model: str, reply: Reply) -> bytes:
    """Return the `chat.completion` object."""
    choice = {"index": 0, "message": {"role": "assistant", **_message(reply)}, "finish_reason": reply.finish_reason}
    return _body(model, "chat.completion", [choice])


def no_choices(model: str) -> bytes:
    """Return a well-formed completion without choices."""
    return _body(model, "chat.completion", [])


def chunks(model: str, reply: Reply) -> Iterator[bytes]:
    """Yield the stream's events in order: role, pieces, end, usage. The caller sends `[DONE]`."""
    yield _chunk(model, {"role": "assistant", "content": None if reply.tool else ""}, None)
    if reply.tool:
        yield _chunk(model, {"tool_calls": [{"index": 0, **_call(reply)}]}, None)
    for piece in reply.pieces:
        yield _chunk(model, {"refusal" if reply.refusal else "content": piece}, None)
    yield _chunk(model, {}, reply.finish_reason)
    yield no_choices_chunk(model)


def no_choices_chunk(model: str) -> bytes:
    """Return a stream's event without choices, which carries the usage."""
    return b"data: " + _body(model, "chat.completion.chunk", []) + b"\n\n"


def error(status: int, message: str) -> bytes:
    """Return the API's error object."""
    return json.dumps({"error": {"message": message, "type": "error", "param": None, "code": str(status)}}).encode()


def _message(reply: Reply) -> dict[str, object]:
    if reply.tool:
        return {"content": None, "tool_calls": [_call(reply)]}
    return {"content": None, "refusal": reply.text} if reply.refusal else {"content": reply.text}


def _call(reply: Reply) -> dict[str, object]:
    return {"id": "call_1", "type": "function", "function": {"name": reply.tool, "arguments": reply.arguments}}


def _chunk(model: str, delta: dict[str, object], finish_reason: str | None) -> bytes:
    body = {
        "id": COMPLETION_ID,
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def _body(model: str, kind: str, choices: list[dict[str, object]]) -> bytes:
    body = {
        "id": COMPLETION_ID,
        "object": kind,
        "created": CREATED,
        "model": model,
        "choices": choices,
        "usage": USAGE,
    }
    return json.dumps(body).encode()
