"""Reading many documents in parts of bounded size.

Most documents are small and some are megabytes, so a part is bounded by bytes and not by a number of documents. No size
is known before it was read. So each bulk read counts, until it ends, as the most bytes that its keys may have, and all
bulk reads of the process share one number of such bytes.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

from dapr_state import BulkRead, DaprState
from errors import Overloaded

PART_BYTES = 2 * 1024 * 1024
"""Bytes that one bulk read aims at. Half of it or twice it takes as long for each byte; a sidecar needs several times
the bytes of a response."""
FIRST_KEYS = 8
"""Keys of the first bulk read of an operation, when nothing is known about the sizes: the pages of 100 messages."""
MAX_KEYS = 64
"""Most keys in one bulk read. With more, a call costs no less for each key (docs/benchmarks.md)."""
MAX_UNDER_WAY_BYTES = 96 * 1024 * 1024
"""Most bytes that all bulk reads under way may return, if all documents are as large as they may be: MAX_KEYS pages."""
MAX_WAIT_SECONDS = 10.0
"""How long a bulk read waits for its share, in seconds: as long as the slowest bulk read before it may take."""


class BulkReads:
    """The bulk reads of the process."""

    def __init__(self, state: DaprState) -> None:
        self._state = state
        self._budget = ByteBudget(MAX_UNDER_WAY_BYTES)

    async def parts(self, keys: Sequence[str], largest_bytes: int) -> AsyncGenerator[BulkRead, None]:
        """Read the documents at `keys` in order. Each is at most `largest_bytes` of JSON.

        While the caller uses one part the next one is read. Raises Overloaded and what `DaprState.get_bulk` raises.
        """
        most = min(MAX_KEYS, MAX_UNDER_WAY_BYTES // largest_bytes)
        reading = self._start(keys[: min(FIRST_KEYS, most)], largest_bytes)
        at = 0
        try:
            while reading is not None:
                read = await reading
                count = len(read.documents)
                at += count
                mean = max(1, read.size_bytes // count)
                following = keys[at : at + max(1, min(2 * count, PART_BYTES // mean, most))]
                reading = self._start(following, largest_bytes)
                yield read
        finally:
            if reading is not None:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    def _start(self, keys: Sequence[str], largest_bytes: int) -> asyncio.Task[BulkRead] | None:
        """Start to read one part; None without keys."""
        return asyncio.create_task(self._read(keys, largest_bytes)) if keys else None

    async def _read(self, keys: Sequence[str], largest_bytes: int) -> BulkRead:
        async with self._budget.reserved(len(keys) * largest_bytes):
            return await self._state.get_bulk(keys)


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
