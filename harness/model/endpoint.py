"""A small OpenAI-compatible chat-completions server: `python -m harness.model.endpoint --port 9090`.

Serves `POST .../chat/completions` under any prefix, streamed or not. The replies and the error scripts are those of
the module `script`. The scripts `hang`, `html`, `empty-choices`, `cut-stream` and `slow` are handled here. `NAME-once`
fails only the first time that a message asks for it. `GET .../requests` returns the newest requests, `DELETE` forgets
them.
"""

import argparse
import asyncio
import json
from collections import deque
from dataclasses import dataclass, field

import uvicorn
from starlette.types import Receive, Scope, Send

from harness.model import wire
from harness.model.script import ERRORS, RETRY_AFTER_SECONDS, ChatRequest, reply_to, script_of, user_text

HANG_SECONDS = 120.0
"""How long `hang` does not respond: longer than any client here waits."""

SLOW_TOKEN_SECONDS = 0.1
"""Time that each word takes with `slow`."""

KEPT_REQUESTS = 100
"""Requests that `GET .../requests` returns at most."""

CUT_AFTER_EVENTS = 3
"""Events of a stream before `cut-stream` ends it."""

HTML = b"<!doctype html><html><body><h1>It works!</h1></body></html>"


@dataclass(slots=True)
class ModelEndpoint:
    """The ASGI application. `token_seconds` is the time that each word of a reply takes."""

    token_seconds: float = 0.0
    requests: deque[ChatRequest] = field(default_factory=lambda: deque(maxlen=KEPT_REQUESTS))
    failed_once: set[str] = field(default_factory=set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request."""
        method, path = scope["method"], scope["path"]
        if method == "POST" and path.endswith("/chat/completions"):
            await self._complete(json.loads(await _read(receive)), receive, send)
        elif path.endswith("/requests"):
            kept = json.dumps(list(self.requests)).encode()
            if method == "DELETE":
                self.requests.clear()
            await _respond(send, 200, kept)
        else:
            await _respond(send, 404, wire.error(404, f"no route {method} {path}"))

    async def _complete(self, request: ChatRequest, receive: Receive, send: Send) -> None:
        self.requests.append(request)
        script = self._script(request)
        if script in ERRORS:
            status, message = ERRORS[script]
            headers = {"retry-after": str(RETRY_AFTER_SECONDS)} if script.endswith("retry-after") else {}
            await _respond(send, status, wire.error(status, message), headers)
        elif script == "hang":
            await _until_disconnect(receive)
        elif script == "html":
            await _respond(send, 200, HTML, {"content-type": "text/html"})
        elif request.get("stream"):
            await self._stream(request, script, send)
        else:
            await self._whole(request, script, send)

    def _script(self, request: ChatRequest) -> str:
        script = script_of(request)
        if not script.endswith("-once"):
            return script
        text = user_text(request)
        if text in self.failed_once:
            return ""
        self.failed_once.add(text)
        return script.removesuffix("-once")

    async def _whole(self, request: ChatRequest, script: str, send: Send) -> None:
        reply = reply_to(request, script)
        await self._think(script, len(reply.pieces))
        if script == "empty-choices":
            await _respond(send, 200, wire.no_choices(request["model"]))
            return
        body = wire.completion(request["model"], reply)
        await _respond(send, 200, body[: len(body) // 2] if script == "cut-stream" else body, length=len(body))

    async def _stream(self, request: ChatRequest, script: str, send: Send) -> None:
        await _start(send, 200, {"content-type": "text/event-stream"})
        model = request["model"]
        events = wire.chunks(model, reply_to(request, script))
        if script == "empty-choices":
            events = iter([wire.no_choices_chunk(model)])
        for number, event in enumerate(events):
            if script == "cut-stream" and number == CUT_AFTER_EVENTS:
                return  # the server then closes the connection, as the body has no end
            await self._think(script, 1)
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": wire.DONE})

    async def _think(self, script: str, tokens: int) -> None:
        seconds = SLOW_TOKEN_SECONDS if script == "slow" else self.token_seconds
        if seconds:
            await asyncio.sleep(seconds * tokens)


async def _read(receive: Receive) -> bytes:
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


async def _until_disconnect(receive: Receive) -> None:
    try:
        async with asyncio.timeout(HANG_SECONDS):
            await receive()
    except TimeoutError:
        return


async def _start(send: Send, status: int, headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


async def _respond(
    send: Send, status: int, body: bytes, headers: dict[str, str] | None = None, *, length: int | None = None
) -> None:
    """Send a whole response. If `length` exceeds the body's length, the server cuts the connection."""
    stated = {"content-type": "application/json", "content-length": str(length or len(body)), **(headers or {})}
    await _start(send, status, stated)
    if length is None or length == len(body):
        await send({"type": "http.response.body", "body": body})
    else:
        await send({"type": "http.response.body", "body": body, "more_body": True})


def main() -> None:
    """Serve on 127.0.0.1 until a signal ends it."""
    parser = argparse.ArgumentParser(prog="harness.model.endpoint", description="A stand-in for an OpenAI endpoint.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--token-ms", type=float, default=0.0, help="time that each word of a reply takes")
    options = parser.parse_args()
    app = ModelEndpoint(token_seconds=options.token_ms / 1000)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=options.port,
        lifespan="off",
        access_log=False,
        log_level="critical",  # uvicorn logs the responses that are cut on purpose as errors
        timeout_keep_alive=120,
    )


if __name__ == "__main__":
    main()
