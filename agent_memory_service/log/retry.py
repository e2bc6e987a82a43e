"""Retries of a write within a deadline, and locks for the writers of one process."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar
from weakref import WeakValueDictionary

from dapr_state import EtagMismatch, WriteUncertain
from errors import StoreConflict, StoreRefusesWrites, StoreUnavailable
from metrics import Metrics

DEADLINE_SECONDS = 2.5
"""Limit of one operation with all its retries, in seconds. A failure is reported within three seconds."""
LATEST_WRITE_SECONDS = DEADLINE_SECONDS + 1
"""Seconds after which no write of an operation can reach the store: the store gives up on a write within a second."""
FIRST_BACKOFF_SECONDS = 0.005
"""Longest pause before the first retry, in seconds: a few times the 1 to 2 ms of a write."""
MAX_BACKOFF_SECONDS = 0.1
"""Longest pause before any retry, in seconds, so that the deadline has room for many attempts."""

MAX_REFUSALS = 4
"""Refusals in a row after which the store is taken to refuse writes. One may be of a store that stalled; a writer that
lost a race reads another etag before its next attempt."""

T = TypeVar("T")


class KeyLock(asyncio.Lock):
    """The lock of the writers of one key in this process, and the metrics that count their retries."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__()
        self.metrics = metrics


class KeyLocks:
    """One lock for each key. It keeps writers in one process from racing; etags protect against other processes."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._locks: WeakValueDictionary[str, KeyLock] = WeakValueDictionary()

    def of(self, key: str) -> KeyLock:
        """Return the lock of `key`. It exists as long as a writer holds it or waits for it."""
        return self._locks.setdefault(key, KeyLock(self._metrics))


async def retry_until_written(lock: KeyLock, attempt: Callable[[], Awaitable[T]]) -> T:
    """Run `attempt` under `lock` until its write is known to be done, within DEADLINE_SECONDS.

    An attempt must start with a read, to find what an earlier attempt wrote. Between attempts there is exponential
    backoff with full jitter. A failed read is not retried. Raises StoreRefusesWrites if reads succeed and the store
    refuses the write again and again although nobody else changed the key; at the deadline StoreConflict if the last
    attempt lost against another writer, otherwise StoreUnavailable.
    """
    failure: EtagMismatch | WriteUncertain | None = None
    refusals = 0
    backoff = FIRST_BACKOFF_SECONDS
    try:
        async with asyncio.timeout(DEADLINE_SECONDS), lock:
            while True:
                try:
                    return await attempt()
                except (EtagMismatch, WriteUncertain) as error:
                    refusals = refusals + 1 if _same_refusal(failure, error) else 1
                    if refusals == MAX_REFUSALS:
                        raise StoreRefusesWrites from error
                    failure = error
                await asyncio.sleep(random.uniform(0, backoff))
                lock.metrics.write_retried()
                backoff = min(2 * backoff, MAX_BACKOFF_SECONDS)
    except TimeoutError:
        raise (StoreConflict() if isinstance(failure, EtagMismatch) else StoreUnavailable()) from failure


def _same_refusal(last: Exception | None, error: EtagMismatch | WriteUncertain) -> bool:
    """Whether both attempts were refused, on the same state of the key."""
    if isinstance(error, EtagMismatch):
        return isinstance(last, EtagMismatch) and (last.key, last.etag) == (error.key, error.etag)
    return error.refused and isinstance(last, WriteUncertain) and last.refused
