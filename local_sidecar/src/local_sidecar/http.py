"""Requests and responses as the routes see them, on top of the ASGI server."""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from local_sidecar.errors import ApiError

Message = MutableMapping[str, Any]
"""A message in the shape that ASGI defines."""
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

BODY_LIMIT_BYTES = 4 * 1024 * 1024
"""Limit on the body of a request: daprd's default."""
HEAD_LIMIT_BYTES = 8 * 1024
"""Limit on the head of a request: daprd's default of 4 KiB, and the 4 KiB that Go's server adds."""
JSON_TYPE = (b"content-type", b"application/json")
TEXT_TYPE = (b"content-type", b"text/plain; charset=utf-8")

_BROKEN_ESCAPE = re.compile(rb"%(?![0-9a-fA-F]{2})")


class Disconnected(Exception):
    """The client closed the connection before its request was complete."""


@dataclass(slots=True)
class Request:
    """One request. Path and query are undecoded, names of headers are lower case, the body is read on demand."""

    method: str
    raw_path: bytes
    query: bytes
    headers: Headers
    receive: Receive

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header."""
        return next((value for known, value in self.headers if known == name), None)

    def query_values(self) -> dict[str, str]:
        """The parameters of the query. The first of repeated ones counts."""
        if not self.query:
            return {}
        pairs = parse_qsl(self.query.decode("latin-1"), keep_blank_values=True)
        return dict(reversed(pairs))

    async def body(self) -> bytes:
        """The whole body, up to the part that exceeds the limit. Raises Disconnected."""
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
        """The next part of the body, and whether more follows. Raises Disconnected."""
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        return message.get("body", b""), message.get("more_body", False)


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response."""

    status: int
    body: bytes = b""
    headers: Headers = field(default_factory=list)

    async def send(self, send: Send) -> None:
        """Send it to the client."""
        length = [] if self.status == 204 else [(b"content-length", str(len(self.body)).encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers + length})
        await send({"type": "http.response.body", "body": self.body})


NO_CONTENT = Response(204)


def error_response(error: ApiError) -> Response:
    """The response that carries an error."""
    return Response(error.status, error.body(), [JSON_TYPE])


def head_error(request: Request) -> Response | None:
    """The response of Go's server to a head that is too large or a path that cannot be decoded, else None."""
    size = len(request.method) + len(request.raw_path) + len(request.query)
    size += sum(len(name) + len(value) + 4 for name, value in request.headers)
    if size > HEAD_LIMIT_BYTES:
        return _closing(431, b"431 Request Header Fields Too Large")
    if b"%" in request.raw_path and _BROKEN_ESCAPE.search(request.raw_path):
        return _closing(400, b"400 Bad Request")
    return None


def _closing(status: int, text: bytes) -> Response:
    return Response(status, text, [TEXT_TYPE, (b"connection", b"close")])
