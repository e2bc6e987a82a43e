"""An OpenAI-compatible endpoint for tests: it sends scripted responses and records the requests."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass

import httpx2

Json = dict[str, object]
ScriptedResponse = httpx2.Response | Exception | Callable[[], Awaitable[httpx2.Response]]


@dataclass(frozen=True)
class RecordedRequest:
    """One recorded request."""

    messages: list[Json]
    body: Json
    headers: httpx2.Headers


class ScriptedModel:
    """Sends its scripted responses in order. After them, and without any, it replies `Good.`"""

    def __init__(self) -> None:
        self.requests: list[RecordedRequest] = []
        self.gate = asyncio.Event()
        """While it is cleared, all responses are held back."""
        self.gate.set()
        self._changed = asyncio.Condition()
        self._responses: deque[ScriptedResponse] = deque()

    def respond_with(self, *responses: ScriptedResponse) -> None:
        """Script the next responses."""
        self._responses.extend(responses)

    async def until_requested(self, times: int = 1) -> None:
        """Wait until this many requests have arrived."""
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(lambda: len(self.requests) >= times)

    async def handle(self, request: httpx2.Request) -> httpx2.Response:
        """Respond to one request."""
        body = json.loads(request.content)
        self.requests.append(RecordedRequest(body["messages"], body, request.headers))
        async with self._changed:
            self._changed.notify_all()
        await self.gate.wait()
        scripted = self._responses.popleft() if self._responses else None
        if isinstance(scripted, Exception):
            raise scripted
        if isinstance(scripted, httpx2.Response):
            return scripted
        if scripted is not None:
            return await scripted()
        return streamed("Good", ".") if body.get("stream") else text("Good.")


def text(content: str | None, **message: object) -> httpx2.Response:
    """A whole reply."""
    return completion({"role": "assistant", "content": content, **message}, "stop")


def tool_call(arguments: str = "{}", name: str = "get_current_time") -> httpx2.Response:
    """A whole response that calls a tool."""
    return completion({"role": "assistant", "content": None, "tool_calls": [_call(name, arguments)]}, "tool_calls")


def completion(message: Json, finish_reason: str) -> httpx2.Response:
    """A chat completion."""
    choice = {"index": 0, "finish_reason": finish_reason, "message": message}
    body = json.dumps({**_about("chat.completion"), "choices": [choice]})  # ASCII, so that half a character can be sent
    return httpx2.Response(200, content=body, headers={"content-type": "application/json"})


def streamed(*pieces: str, finish_reason: str | None = "stop", done: bool = True) -> httpx2.Response:
    """A streamed reply; without finish reason and `done` it is cut off."""
    return events(text_events(*pieces, finish_reason=finish_reason, done=done))


def streamed_tool_call(arguments: str = "{}") -> httpx2.Response:
    """A streamed response that calls the time tool."""
    called: Json = {"role": "assistant", "tool_calls": [{"index": 0, **_call("get_current_time", arguments)}]}
    return events([chunk(called), chunk({}, "tool_calls"), b"data: [DONE]\n\n"])


def text_events(*pieces: str, finish_reason: str | None = "stop", done: bool = True) -> list[bytes]:
    """The events of a streamed reply."""
    said = [chunk({"role": "assistant", "content": piece}) for piece in pieces]
    ended = [chunk({}, finish_reason)] if finish_reason else []
    return [*said, *ended, *([b"data: [DONE]\n\n"] if done else [])]


def events(parts: Iterable[bytes] | AsyncIterator[bytes]) -> httpx2.Response:
    """A stream of server-sent events."""
    stream = parts if isinstance(parts, AsyncIterator) else _each(parts)
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=stream)


def chunk(delta: Json, finish_reason: str | None = None) -> bytes:
    """One event of a streamed completion."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return b"data: " + json.dumps({**_about("chat.completion.chunk"), "choices": [choice]}).encode() + b"\n\n"


async def _each(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def _about(kind: str) -> Json:
    return {"id": "c1", "object": kind, "created": 1, "model": "scripted"}


def _call(name: str, arguments: str) -> Json:
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}
