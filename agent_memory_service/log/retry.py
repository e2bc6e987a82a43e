"""How long an operation tries, and how the writers of one process take turns."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar
from weakref import WeakValueDictionary

from dapr_state import EtagMismatch, WriteUncertain
from errors import StoreConflict, StoreUnavailable

DEADLINE_SECONDS = 2.5
"""For one operation, its last store call included: a failure is told within three seconds."""
LATEST_WRITE_SECONDS = DEADLINE_SECONDS + 1
"""After this long nothing of an attempt lands any more: the store gives up on a write within a second."""
FIRST_PAUSE_SECONDS = 0.005
"""Before trying again, doubled each time and shortened at random, so that two writers part."""
LONGEST_PAUSE_SECONDS = 0.1

T = TypeVar("T")


class Writers:
    """A lock for each key, so that the writers of this process do not race each other; etags keep the others out."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, key: str) -> asyncio.Lock:
        """The lock of `key`; it lives as long as someone holds it or waits for it."""
        return self._locks.setdefault(key, asyncio.Lock())


async def until_written(lock: asyncio.Lock, attempt: Callable[[], Awaitable[T]]) -> T:
    """Run `attempt` until its write is known to be done, alone under `lock`, within the deadline.

    An attempt begins by reading, so that it finds what the one before may have written after all. A read that fails
    ends it. Raises StoreConflict where others won to the last, else StoreUnavailable.
    """
    failure: EtagMismatch | WriteUncertain | None = None
    pause = FIRST_PAUSE_SECONDS
    try:
        async with asyncio.timeout(DEADLINE_SECONDS), lock:
            while True:
                try:
                    return await attempt()
                except (EtagMismatch, WriteUncertain) as error:
                    failure = error
                await asyncio.sleep(random.uniform(0, pause))
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
    except TimeoutError:
        raise (StoreConflict() if isinstance(failure, EtagMismatch) else StoreUnavailable()) from failure
