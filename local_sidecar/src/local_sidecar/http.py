"""The little of HTTP that the routes share, on top of the ASGI server."""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from local_sidecar.errors import ApiError

Message = MutableMapping[str, Any]  # ASGI's own shape
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

BODY_LIMIT_BYTES = 4 * 1024 * 1024  # daprd's default
HEAD_LIMIT_BYTES = 8 * 1024  # daprd's default of 4 KiB and as much again in Go's server
JSON_TYPE = (b"content-type", b"application/json")
TEXT_TYPE = (b"content-type", b"text/plain; charset=utf-8")

_BROKEN_ESCAPE = re.compile(rb"%(?![0-9a-fA-F]{2})")


class Disconnected(Exception):
    """The client went away before its request was whole."""


@dataclass(slots=True)
class Request:
    """One request: method, undecoded path and query, headers with lower-case names, and its body to come."""

    method: str
    raw_path: bytes
    query: bytes
    headers: Headers
    receive: Receive

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header."""
        return next((value for known, value in self.headers if known == name), None)

    def query_values(self) -> dict[str, str]:
        """The query's parameters, of repeated ones the first."""
        if not self.query:
            return {}
        pairs = parse_qsl(self.query.decode("latin-1"), keep_blank_values=True)
        return dict(reversed(pairs))

    async def body(self) -> bytes:
        """The whole body, up to the first byte over the limit."""
        parts: list[bytes] = []
        size = 0
        more = True
        while more:
            part, more = await self.next_part()
            size += len(part)
            if size - len(part) <= BODY_LIMIT_BYTES:
                parts.append(part)
        return b"".join(parts) if len(parts) > 1 else parts[0]

    async def next_part(self) -> tuple[bytes, bool]:
        """The next part of the body, and whether more is to come."""
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        return message.get("body", b""), message.get("more_body", False)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    body: bytes = b""
    headers: Headers = field(default_factory=list)

    async def send(self, send: Send) -> None:
        """Write it out."""
        length = [] if self.status == 204 else [(b"content-length", str(len(self.body)).encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers + length})
        await send({"type": "http.response.body", "body": self.body})


EMPTY = Answer(204)


def refusal(error: ApiError) -> Answer:
    """An error as the answer that carries it."""
    return Answer(error.status, error.body(), [JSON_TYPE])


def refusal_of_head(request: Request) -> Answer | None:
    """What Go's server answers before any route is looked at: a head too large, a path that cannot be decoded."""
    size = len(request.method) + len(request.raw_path) + len(request.query)
    size += sum(len(name) + len(value) + 4 for name, value in request.headers)
    if size > HEAD_LIMIT_BYTES:
        return _closing(431, b"431 Request Header Fields Too Large")
    if b"%" in request.raw_path and _BROKEN_ESCAPE.search(request.raw_path):
        return _closing(400, b"400 Bad Request")
    return None


def _closing(status: int, text: bytes) -> Answer:
    return Answer(status, text, [TEXT_TYPE, (b"connection", b"close")])
