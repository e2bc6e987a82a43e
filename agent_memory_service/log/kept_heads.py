"""Heads that were read for a turn, kept until its append: the append then writes without a read of its own.

If there is no head, that is remembered too: the write then succeeds only if there is still none.

A kept head only saves a read. Its etag is the condition of the write, so if anybody changed the head meanwhile, the
write is refused, and the append reads. An etag proves that only as long as no later head can have the same one. Redis
counts the writes of a key, and begins at 1 again once the key is gone. A head goes by its tombstone alone, which stays
for a day; and a store that crashes may lose its last writes, so a failed call drops all kept heads.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from log.page_plan import Head
from store_traits import Etag

KEPT_SECONDS = 30.0
"""How long a head is kept, in seconds: most models reply sooner. It must be far below TOMBSTONE_TTL_SECONDS."""
MAX_KEPT_HEADS = 1_000
"""Most heads that are kept. The oldest one goes first."""
MAX_KEPT_BYTES = 16 * 1024 * 1024
"""The same in bytes of JSON: 1,000 heads of the usual length."""


@dataclass(frozen=True, slots=True)
class KeptHead:
    """What was read at the key of a log."""

    head: Head | None
    etag: Etag
    """The condition of a write over it: the etag that it was read with, ABSENT if there is no head."""
    size_bytes: int
    """The head's size as JSON."""
    until: float
    """The loop's time at which it is dropped."""


class KeptHeads:
    """The kept heads of the process, by the key of their log."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, KeptHead] = OrderedDict()
        self._bytes = 0

    def keep(self, key: str, head: Head | None, etag: Etag, size_bytes: int) -> None:
        """Keep a head that was just read. It replaces an older one of the same log."""
        self.take(key)
        now = asyncio.get_running_loop().time()
        self._kept[key] = KeptHead(head, etag, size_bytes, now + KEPT_SECONDS)
        self._bytes += size_bytes
        while self._kept and self._is_too_much(now):
            self.take(next(iter(self._kept)))

    def take(self, key: str) -> KeptHead | None:
        """Return the kept head of a log and keep it no longer; None if there is none or its time is over."""
        kept = self._kept.pop(key, None)
        if kept is None:
            return None
        self._bytes -= kept.size_bytes
        return kept if asyncio.get_running_loop().time() < kept.until else None

    def clear(self) -> None:
        """Keep nothing."""
        self._kept.clear()
        self._bytes = 0

    def _is_too_much(self, now: float) -> bool:
        oldest = next(iter(self._kept.values()))
        return len(self._kept) > MAX_KEPT_HEADS or self._bytes > MAX_KEPT_BYTES or oldest.until <= now
