"""Bounds of request bodies: the size of each, the bytes of all that are held at once, and the time of arrival."""

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from errors import BodyTooLarge, BodyTooSlow, Overloaded

MAX_BODY_BYTES = 4 * 1024 * 1024
"""Largest request body, in bytes: Dapr passes on no more, neither to an app nor to its store."""
FREE_BODY_BYTES = 64 * 1024
"""Bytes of each body that are not counted: uvicorn holds as many of every connection. So a turn is accepted also while
long bodies use all of MAX_HELD_BYTES."""
MAX_HELD_BYTES = 64 * 1024 * 1024
"""Most bytes of all bodies that are held at once: 16 of the longest. A parsed body takes several times its bytes."""
BODY_SECONDS = 10.0
"""How long a body may take to arrive, in seconds. The sidecar that sends it is near; it sends 4 MiB in a tenth."""


class HeldBytes:
    """The bytes of bodies that all requests of the process hold."""

    def __init__(self) -> None:
        self.count = 0


class Body:
    """The body of one request: counts what arrives, since its length may not be stated in a header."""

    def __init__(self, receive: Receive, held: HeldBytes) -> None:
        self._receive = receive
        self._held = held
        self._deadline: float | None = None
        self._size = 0
        self._counted = 0
        self._complete = False

    async def receive(self) -> Message:
        """Return the next message. Raises HTTPException and ServiceError: FastAPI makes a 400 of any other error."""
        if self._complete:  # what comes next is the disconnect; it may take as long as the response
            return await self._receive()
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + BODY_SECONDS
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(BodyTooSlow.status, headers=dict(BodyTooSlow.headers)) from None
        self._complete = not message.get("more_body", False)
        self._count(len(message.get("body", b"")))
        return message

    def release(self) -> None:
        """Give back what this body holds."""
        self._held.count -= self._counted
        self._counted = 0

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > MAX_BODY_BYTES:
            raise HTTPException(BodyTooLarge.status)
        grown = max(0, self._size - FREE_BODY_BYTES) - self._counted
        if self._held.count + grown > MAX_HELD_BYTES:
            raise HTTPException(Overloaded.status, headers=dict(Overloaded.headers))
        self._held.count += grown
        self._counted += grown
