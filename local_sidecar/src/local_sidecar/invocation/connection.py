"""One HTTP/1.1 connection to an app. Bodies are streamed in both directions and headers are sent as given."""

import asyncio
from typing import Protocol, runtime_checkable

from local_sidecar.invocation.app_response import AppResponse, BrokenConnection

BUFFER_BYTES = 256 * 1024
"""Limit on response bytes kept for a slow reader. Further bytes wait in the socket, so the app is slowed down."""


@runtime_checkable
class Transport(Protocol):
    """The methods that are used of a transport. uvloop's transports do not inherit from asyncio's classes."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def abort(self) -> None:
        """Close at once."""

    def pause_reading(self) -> None:
        """Leave incoming bytes in the socket."""

    def resume_reading(self) -> None:
        """Read from the socket again."""


class AppConnection(asyncio.Protocol):
    """A connection that carries one request and its response at a time."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.open = True
        self.response = AppResponse("")
        self._reading_paused = False
        self._transport: Transport
        self._error = BrokenConnection("EOF")
        self._next_event: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def begin(self, method: str, head: bytes) -> None:
        """Send the head of a request. Its body is sent with `write`."""
        self.response = AppResponse(method)
        self._transport.write(head)

    async def write(self, data: bytes) -> None:
        """Send a part of the request's body. Raises BrokenConnection."""
        await self._writable.wait()
        if not self.open:
            raise self._error
        self._transport.write(data)

    async def response_head(self) -> AppResponse:
        """The response, once its status and headers have arrived. Raises BrokenConnection."""
        while not self.response.has_head:
            await self._wait_for_event()
        return self.response

    async def next_part(self) -> bytes | None:
        """The next part of the response's body, or None after the last one.

        Raises BrokenConnection when the body was cut off.
        """
        response = self.response
        while not response.parts:
            if response.complete:
                return None
            await self._wait_for_event()
        part = b"".join(response.parts)
        response.parts.clear()
        response.buffered = 0
        if self._reading_paused and self.open:
            self._reading_paused = False
            self._transport.resume_reading()
        return part

    @property
    def reusable(self) -> bool:
        """Whether the response was read completely and the app keeps the connection open."""
        return self.open and self.response.complete and not self.response.parts and self.response.keeps_open

    def abort(self) -> None:
        """Close at once, so that the app sees that its client is gone."""
        self._transport.abort()

    async def _wait_for_event(self) -> None:
        if not self.open:
            raise self._error
        self._next_event = asyncio.get_running_loop().create_future()
        await self._next_event

    def _notify(self) -> None:
        if self._next_event is not None and not self._next_event.done():
            self._next_event.set_result(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio callback: connected."""
        assert isinstance(transport, Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """asyncio callback: bytes of the response."""
        try:
            self.response.feed(data)
        except BrokenConnection as error:
            self._error = error
            self._transport.abort()
            return
        if self.response.buffered > BUFFER_BYTES and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()
        self._notify()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio callback: closed by either side."""
        self.open = False
        if exc is not None:
            self._error = BrokenConnection(str(exc))
        else:
            self.response.end_of_input()
        self._writable.set()
        self._notify()

    def pause_writing(self) -> None:
        """asyncio callback: the app reads more slowly than the request is sent."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """asyncio callback: the app has read what was sent."""
        self._writable.set()
