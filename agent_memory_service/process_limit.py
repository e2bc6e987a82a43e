"""A limit on how much of one kind of work a process does at the same time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary


class ProcessLimit:
    """At most `count` at a time. It can be used from several event loops: a test client has one for each request."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._places: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place and hold it for the time of the block."""
        async with self._places.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(self._count)):
            yield
