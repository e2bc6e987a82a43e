"""The server's side of HTTP with the bounds that uvicorn lacks: `uvicorn main:app --http bounded_http:BoundedHttp`.

Without it a connection may send headers for ever, and as many as it likes, and idle ones keep everybody else out.
"""

import asyncio
import socket
from typing import ClassVar, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_SECONDS = 10.0
"""How long the headers of a request may take to arrive, in seconds, and a new connection to send any. As long has the
rest of a body whose request has its response already."""
MAX_HEADER_BYTES = 64 * 1024
"""Bytes after which unfinished headers are refused. Browsers and proxies send at most 16 KB."""
UNREAD_SECONDS = 60
"""Seconds after which the kernel drops a connection whose client does not take what was sent."""
CROWDED_SHARE = 0.9
"""Share of uvicorn's `limit_concurrency` from which on a new connection replaces an idle one. The rest (60 of 600) is
for those that come in the same moment. 540 are more than the streams and the waiting requests together."""

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedHttp(HttpToolsProtocol):
    """One connection. It is closed when the headers of a request take too long, or are too large.

    If there are almost as many connections as uvicorn's `limit_concurrency`, a new one takes the place of the one that
    has been without a request for the longest time.
    """

    _without_request: ClassVar[dict["BoundedHttp", None]] = {}
    """The connections of the process that have no request, the longest idle first."""

    _deadline: asyncio.TimerHandle | None = None
    _header_bytes = 0
    _is_body_arriving = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Wait for the first request."""
        super().connection_made(transport)
        _drop_when_unread(transport)
        limit = self.limit_concurrency
        if limit is not None and len(self.connections) >= CROWDED_SHARE * limit:
            self._make_room()
        self._without_request[self] = None
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._wait_no_more()
        self._without_request.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what arrives before the end of the headers."""
        super().data_received(data)
        if self._deadline is not None and not self._is_body_arriving:
            self._header_bytes += len(data)
            if self._header_bytes > MAX_HEADER_BYTES:
                self._refuse(_TOO_LARGE)

    def on_message_begin(self) -> None:
        """A request begins: on a connection that is used again, its time begins as well."""
        super().on_message_begin()
        if self._deadline is None:
            self._expect_headers()

    def on_headers_complete(self) -> None:
        """The request has its headers."""
        self._wait_no_more()
        self._without_request.pop(self, None)
        self._is_body_arriving = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request has its body."""
        self._is_body_arriving = False
        self._wait_no_more()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The connection has no request any more, or only the rest of one."""
        super().on_response_complete()
        if self.cycle.response_complete:
            self._without_request[self] = None
            if self._is_body_arriving:
                self._deadline = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _should_upgrade(self) -> bool:
        return False  # a WebSocket would be bound by nothing here, and no route speaks it

    def _make_room(self) -> None:
        longest_idle = next(iter(self._without_request), None)
        if longest_idle is not None:
            del self._without_request[longest_idle]
            longest_idle.transport.abort()  # not `close`, which waits for a client that does not read

    def _expect_headers(self) -> None:
        self._header_bytes = 0
        self._deadline = self.loop.call_later(HEADER_SECONDS, self._refuse, _TOO_SLOW)

    def _wait_no_more(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, response: bytes) -> None:
        self._wait_no_more()
        if not self.transport.is_closing():
            is_between_responses = self.cycle is None or self.cycle.response_complete
            if self._header_bytes and is_between_responses:
                self.transport.write(response)
            self.transport.close()


def _drop_when_unread(transport: asyncio.Transport) -> None:
    connection = cast("socket.socket | None", transport.get_extra_info("socket"))
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux only
    if connection is not None and option is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, option, UNREAD_SECONDS * 1_000)
