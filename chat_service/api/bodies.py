"""Bounds of request bodies: the size of each, the bytes and the number of all that arrive, and the time of arrival."""

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from errors import BodyTooLarge, BodyTooSlow, Overloaded, ServiceError

MAX_BODY_BYTES = 1024 * 1024
"""Largest request body, in bytes. The longest text allowed takes at most 96 KB as JSON; the rest is room for tags."""
FREE_BODY_BYTES = 64 * 1024
"""Bytes of each body that are not counted: uvicorn holds as many of every connection. So a short message is accepted
also while long bodies use all of MAX_HELD_BYTES."""
MAX_HELD_BYTES = 16 * 1024 * 1024
"""Most bytes of all bodies that are held at once: 16 of the longest. A parsed body takes several times its bytes."""
MAX_ARRIVING_BODIES = 256
"""Most bodies that arrive at once: as many as turns run. Past it the one that has been arriving longest is refused.
Almost every body arrives with its headers, in one piece; so bodies that are sent slowly keep nobody out."""
BODY_SECONDS = 20.0
"""How long a body may take to arrive, in seconds. The longest text allowed takes that long at 5 KB a second."""


class HeldBodies:
    """What the bodies of all requests of the process hold: bytes, and places of those that are still arriving."""

    def __init__(self) -> None:
        self.arriving: dict[Body, None] = {}
        """In the order in which they began to arrive."""
        self.bytes = 0


class Body:
    """The body of one request: counts what arrives, since its length may not be stated in a header."""

    def __init__(self, receive: Receive, held: HeldBodies) -> None:
        self._receive = receive
        self._held = held
        self._deadline: float | None = None
        self._limit: asyncio.Timeout | None = None
        self._size = 0
        self._counted = 0
        self._is_complete = False
        self._is_displaced = False

    async def receive(self) -> Message:
        """Return the next message. Raises HTTPException, because FastAPI makes a 400 of any other error."""
        if self._is_complete:  # what comes next is the disconnect; it may take as long as the response
            return await self._receive()
        deadline = self._begun()
        try:
            async with asyncio.timeout_at(deadline) as self._limit:
                message = await self._receive()
        except TimeoutError:
            raise _http_error(Overloaded if self._is_displaced else BodyTooSlow) from None
        finally:
            self._limit = None
        if not message.get("more_body", False):
            self._complete()
        self._count(len(message.get("body", b"")))
        return message

    def release(self) -> None:
        """Give back what this body holds."""
        self._held.bytes -= self._counted
        self._counted = 0
        self._complete()

    def _begun(self) -> float:
        if self._deadline is None:
            if len(self._held.arriving) >= MAX_ARRIVING_BODIES:
                next(iter(self._held.arriving))._displace()
            self._held.arriving[self] = None
            self._deadline = asyncio.get_running_loop().time() + BODY_SECONDS
        return self._deadline

    def _complete(self) -> None:
        self._is_complete = True
        self._held.arriving.pop(self, None)

    def _displace(self) -> None:
        """End this body's time to arrive, as another needs its place."""
        self._is_displaced = True
        self._held.arriving.pop(self, None)
        self._deadline = asyncio.get_running_loop().time()
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(self._deadline)

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > MAX_BODY_BYTES:
            raise _http_error(BodyTooLarge)
        grown = max(0, self._size - FREE_BODY_BYTES) - self._counted
        if self._held.bytes + grown > MAX_HELD_BYTES:
            raise _http_error(Overloaded)
        self._held.bytes += grown
        self._counted += grown


def _http_error(error: type[ServiceError]) -> HTTPException:
    return HTTPException(error.status, headers=dict(error.headers))
