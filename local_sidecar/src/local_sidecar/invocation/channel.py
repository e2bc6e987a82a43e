"""One HTTP/1.1 connection to an app: both directions streamed, headers exactly as given."""

import asyncio
from typing import Protocol, runtime_checkable

from local_sidecar.invocation.reply import ChannelBroken, Reply

BUFFER_BYTES = 256 * 1024  # of an answer whose reader is slow; the rest waits in the socket


@runtime_checkable
class Transport(Protocol):
    """What is used of a transport; uvloop's are not asyncio's by class."""

    def write(self, data: bytes) -> None:
        """Send."""

    def abort(self) -> None:
        """Close at once."""

    def pause_reading(self) -> None:
        """Leave what comes in the socket."""

    def resume_reading(self) -> None:
        """Read on."""


class Channel(asyncio.Protocol):
    """The connection, used for one request and its answer at a time."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.open = True
        self._paused = False
        self.reply = Reply("")
        self._transport: Transport
        self._problem = ChannelBroken("EOF")
        self._wakes: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def begin(self, method: str, head: bytes) -> None:
        """Send a request's head; its body goes through `write`."""
        self.reply = Reply(method)
        self._transport.write(head)

    async def write(self, data: bytes) -> None:
        """Send a part of the request's body. Raises ChannelBroken."""
        await self._writable.wait()
        if not self.open:
            raise self._problem
        self._transport.write(data)

    async def head(self) -> Reply:
        """The answer once its status and headers are there. Raises ChannelBroken."""
        while not self.reply.has_head:
            await self._event()
        return self.reply

    async def next_part(self) -> bytes | None:
        """The next part of the answer's body, None after the last. Raises ChannelBroken when it was cut off."""
        reply = self.reply
        while not reply.parts:
            if reply.complete:
                return None
            await self._event()
        part = b"".join(reply.parts)
        reply.parts.clear()
        reply.buffered = 0
        if self._paused and self.open:
            self._paused = False
            self._transport.resume_reading()
        return part

    @property
    def reusable(self) -> bool:
        """Whether the answer was read to its end and the app keeps the connection."""
        return self.open and self.reply.complete and not self.reply.parts and self.reply.keeps_open

    def abort(self) -> None:
        """Close at once: the app sees that its client is gone."""
        self._transport.abort()

    async def _event(self) -> None:
        if not self.open:
            raise self._problem
        self._wakes = asyncio.get_running_loop().create_future()
        await self._wakes

    def _wake(self) -> None:
        if self._wakes is not None and not self._wakes.done():
            self._wakes.set_result(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected."""
        assert isinstance(transport, Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes of the answer."""
        try:
            self.reply.feed(data)
        except ChannelBroken as problem:
            self._problem = problem
            self._transport.abort()
            return
        if self.reply.buffered > BUFFER_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: closed by either side."""
        self.open = False
        if exc is not None:
            self._problem = ChannelBroken(str(exc))
        else:
            self.reply.end_of_input()
        self._writable.set()
        self._wake()

    def pause_writing(self) -> None:
        """asyncio: the app reads too slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """asyncio: the app has caught up."""
        self._writable.set()
