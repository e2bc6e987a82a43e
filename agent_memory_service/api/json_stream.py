"""Long JSON responses that are sent while they are read."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from errors import Overloaded, ServiceError

STREAMS_AT_ONCE = 16
"""Most long responses that are sent at once. Each holds a few megabytes for as long as its client takes."""
STREAMS_WAITING = 32
"""Most long responses that wait to be sent. Each holds its first part, two megabytes."""
MAX_WAIT_SECONDS = 5.0
"""How long a long response waits to be sent, in seconds, before the client is asked to come back."""
PIECE_BYTES = 64 * 1024
"""Bytes of one piece: uvicorn passes on as much before it waits for the client."""
PIECE_SECONDS = 30.0
"""How long a client may take for one piece, in seconds. A slower one is disconnected: others wait for its place."""

logger = logging.getLogger("agent_memory_service.streams")


class StreamLimit:
    """The places for long responses of one app. First come, first served."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(STREAMS_AT_ONCE)
        self._waiting = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place for the time of the block. Raises Overloaded."""
        if self._waiting >= STREAMS_WAITING:
            raise Overloaded
        self._waiting += 1
        try:
            async with asyncio.timeout(MAX_WAIT_SECONDS):
                await self._places.acquire()
        except TimeoutError:
            raise Overloaded from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._places.release()


class JSONStream(StreamingResponse):
    """A JSON body of many pieces.

    If it cannot be finished, the connection is cut without an end of the body, so that no client takes it as whole.
    """

    media_type = "application/json"

    def __init__(self, pieces: AsyncGenerator[bytes, None], limit: StreamLimit) -> None:
        self._pieces = _evenly(pieces)
        self._limit = limit
        super().__init__(self._pieces)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response. Raises Overloaded; then nothing was sent."""
        async with aclosing(self._pieces), self._limit.place():
            await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        """Send the pieces, or the part of them that could be read."""
        try:
            await super().stream_response(_in_time(send))
        except ServiceError as error:
            logger.error("response cut short, it could not be read to its end: reason=%s", error.code)  # noqa: TRY400
        except TimeoutError:
            logger.warning("response cut short: the client does not receive it")


async def _evenly(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Give the same bytes in pieces of PIECE_BYTES."""
    buffer = bytearray()
    async with aclosing(pieces):
        async for piece in pieces:
            buffer += piece
            while len(buffer) >= PIECE_BYTES:
                yield bytes(buffer[:PIECE_BYTES])
                del buffer[:PIECE_BYTES]
    yield bytes(buffer)


def _in_time(send: Send) -> Send:
    """Limit the time that the client may take for one message."""

    async def send_in_time(message: Message) -> None:
        async with asyncio.timeout(PIECE_SECONDS):
            await send(message)

    return send_in_time
