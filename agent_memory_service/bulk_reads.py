"""Reading many documents in parts of bounded size.

Most documents are small and some are megabytes, so a part is bounded by bytes and not by a number of documents. No size
is known before it was read. So each bulk read counts, until it ends, as the most bytes that its keys may have, and all
bulk reads of the process share one number of such bytes.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice

from dapr_state import BulkRead, BulkReadFailed, DaprState
from errors import Overloaded

PART_BYTES = 2 * 1024 * 1024
"""Bytes that one bulk read aims at. A sidecar takes several times as much memory, and a tenth of a second if it is
busy; then it has time for others."""
MAX_CALL_BYTES = 32 * 1024 * 1024
"""Most bytes that one bulk read may return if all its documents are as large as they may be: 8 heads, or 23 pages of an
unknown size. It comes to that only where many small documents are followed by many of the largest."""
MAX_UNDER_WAY_BYTES = 2 * MAX_CALL_BYTES
"""The same for all bulk reads under way. A sidecar takes several times as much memory."""
FIRST_KEYS = 4
"""Keys of the first bulk read of an operation, unless all documents are known to be small."""
MAX_KEYS = 200
"""Most keys in one bulk read: half a megabyte of pages if the messages are short."""
READS_AT_ONCE = 4
"""Most bulk reads of one operation at the same time, as long as they return PART_BYTES together."""
MAX_WAIT_SECONDS = 10.0
"""How long a bulk read waits for its share, in seconds: as long as the slowest bulk read before it may take."""


class BulkReads:
    """The bulk reads of the process."""

    def __init__(self, state: DaprState) -> None:
        self._state = state
        self._budget = ByteBudget(MAX_UNDER_WAY_BYTES)

    async def parts(self, keys: Sequence[str], largest_bytes: int) -> AsyncGenerator[BulkRead, None]:
        """Read the documents at `keys` in order. Each is at most `largest_bytes` of JSON.

        While the caller uses one part the next one is read. A key whose read fails is one of `failed` in its part, as
        long as the store responds. Raises Overloaded, StoreUnavailable and StoreUnsuitable.
        """
        left = iter(keys)
        most = max(1, min(MAX_KEYS, MAX_CALL_BYTES // largest_bytes))
        count = min(most, max(FIRST_KEYS, PART_BYTES // largest_bytes))
        reading = deque(self._start(left, count, 1, largest_bytes))
        try:
            while reading:
                read = await reading[0]
                reading.popleft()
                mean = max(1, read.size_bytes // len(read.documents))
                count = max(1, min(2 * len(read.documents), PART_BYTES // mean, most))
                at_once = max(1, min(READS_AT_ONCE, PART_BYTES // (count * mean)))
                reading += self._start(left, count, at_once - len(reading), largest_bytes)
                yield read
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)

    def _start(self, left: Iterator[str], count: int, reads: int, largest_bytes: int) -> list[asyncio.Task[BulkRead]]:
        """Start some reads of the next `count` keys each, as long as there are keys."""
        parts = (list(islice(left, count)) for _ in range(reads))
        return [asyncio.create_task(self._read(part, largest_bytes)) for part in parts if part]

    async def _read(self, keys: Sequence[str], largest_bytes: int) -> BulkRead:
        async with self._budget.reserved(len(keys) * largest_bytes):
            return await read_in_halves(self._state, keys)


async def read_in_halves(state: DaprState, keys: Sequence[str]) -> BulkRead:
    """Read all keys at once; if that fails, half of them after the other, down to single ones.

    So neither a store that is too slow for many megabytes at once nor a damaged value fails the rest.
    """
    try:
        return await state.get_bulk(keys)
    except BulkReadFailed:
        if len(keys) == 1:
            return await _read_again(state, keys)
    half = len(keys) // 2
    return _joined(await read_in_halves(state, keys[:half]), await read_in_halves(state, keys[half:]))


async def _read_again(state: DaprState, keys: Sequence[str]) -> BulkRead:
    """Read a single key again: a read that fails once, for a moment, says nothing about its value."""
    await state.check_responds()
    try:
        return await state.get_bulk(keys)
    except BulkReadFailed:
        return BulkRead([None], frozenset(), 0, frozenset([0]))


def _joined(first: BulkRead, second: BulkRead) -> BulkRead:
    """Return two bulk reads as one."""
    start = len(first.documents)
    return BulkRead(
        [*first.documents, *second.documents],
        first.unreadable | {start + number for number in second.unreadable},
        first.size_bytes + second.size_bytes,
        first.failed | {start + number for number in second.failed},
    )


class ByteBudget:
    """A number of bytes that operations reserve while they need them. First come, first served."""

    def __init__(self, total: int) -> None:
        self._free = total
        self._turn = asyncio.Lock()
        self._given_back = asyncio.Event()

    @asynccontextmanager
    async def reserved(self, size: int) -> AsyncIterator[None]:
        """Wait until `size` bytes are free and hold them for the time of the block. Raises Overloaded."""
        try:
            async with asyncio.timeout(MAX_WAIT_SECONDS), self._turn:
                while size > self._free:
                    self._given_back.clear()
                    await self._given_back.wait()
                self._free -= size
        except TimeoutError:
            raise Overloaded from None
        try:
            yield
        finally:
            self._free += size
            self._given_back.set()
