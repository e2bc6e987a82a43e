"""Retries of a write within a deadline, and locks for the writers of one process."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar
from weakref import WeakValueDictionary

from dapr_state import EtagMismatch, WriteUncertain
from errors import StoreConflict, StoreUnavailable

DEADLINE_SECONDS = 2.5
"""Limit of one operation with all its retries, in seconds. A failure is reported within three seconds."""
LATEST_WRITE_SECONDS = DEADLINE_SECONDS + 1
"""Seconds after which no write of an operation can reach the store: the store gives up on a write within a second."""
FIRST_BACKOFF_SECONDS = 0.005
"""Longest pause before the first retry, in seconds: a few times the 1 to 2 ms of a write."""
MAX_BACKOFF_SECONDS = 0.1
"""Longest pause before any retry, in seconds, so that the deadline has room for many attempts."""

T = TypeVar("T")


class KeyLocks:
    """One lock for each key. It keeps writers in one process from racing; etags protect against other processes."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, key: str) -> asyncio.Lock:
        """Return the lock of `key`. It exists as long as a writer holds it or waits for it."""
        return self._locks.setdefault(key, asyncio.Lock())


async def retry_until_written(lock: asyncio.Lock, attempt: Callable[[], Awaitable[T]]) -> T:
    """Run `attempt` under `lock` until its write is known to be done, within DEADLINE_SECONDS.

    An attempt must start with a read, to find what an earlier attempt wrote. Between attempts there is exponential
    backoff with full jitter. A failed read is not retried. Raises StoreConflict if the last attempt lost against
    another writer, otherwise StoreUnavailable.
    """
    failure: EtagMismatch | WriteUncertain | None = None
    backoff = FIRST_BACKOFF_SECONDS
    try:
        async with asyncio.timeout(DEADLINE_SECONDS), lock:
            while True:
                try:
                    return await attempt()
                except (EtagMismatch, WriteUncertain) as error:
                    failure = error
                await asyncio.sleep(random.uniform(0, backoff))
                backoff = min(2 * backoff, MAX_BACKOFF_SECONDS)
    except TimeoutError:
        raise (StoreConflict() if isinstance(failure, EtagMismatch) else StoreUnavailable()) from failure
