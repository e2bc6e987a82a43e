"""The due list: what this service must do later, also if the process dies and nobody ever asks for the keys again.

An item is stored before the write that makes it necessary, in the bucket of the minute when it is due. Buckets have
known keys, so a worker finds what is due without a list of the store's keys: it reads the buckets of each minute after
the last one that is done.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple, cast

import clock
from bulk_reads import read_in_halves
from dapr_state import BulkReadFailed, DaprState, EtagMismatch, Stored, ValueUnreadable
from documents import JSON, Document
from keys import DUE_DONE_KEY, due_key
from log.retry import KeyLocks, retry_until_written
from metrics import Metrics
from store_traits import ABSENT

MINUTE_SECONDS = 60
BUCKETS = 16
"""Buckets of one minute. Processes begin with different ones, so that they rarely write the same document."""
MAX_BUCKET_ITEMS = 250
"""Items of one bucket; ids of the longest kind make it 200 KB. What does not fit goes to the next bucket."""
ITEMS_AT_ONCE = 50
"""Items of one registration that are written together."""
BUCKET_TTL_SECONDS = 90 * 24 * 60 * 60
"""How long a bucket lives, in seconds. A worker removes it long before. Only one that reaches the store over an hour
late is left; it has ids and no text. A service that is stopped for longer than this forgets what was due."""
LATEST_SECONDS_BEFORE = 30
"""An item is registered this long before its minute, in seconds, or else registered again: clocks may differ so much,
and no worker looks at the minute before."""
FIRST_SECONDS = 60
"""Shortest time after which an item is due, in seconds: longer than the deadline of the operation that needs it."""
MAX_KNOWN_FULL = 1_000
"""Full buckets that a process remembers, so that it does not read them again."""


class DueItem(NamedTuple):
    """One thing to do: `kind` says what, `id` for which key or user. The others belong to a sweep."""

    kind: str
    id: str
    step: int = 0
    epoch: str = ""
    pages: int = 0


class Bucket(NamedTuple):
    """The items of one bucket. A worker that has a lease until a later time works on them."""

    items: Sequence[DueItem]
    leased_until: float
    stored: Stored


@dataclass(eq=False)
class _Registration:
    """Items that wait to be written, and later the minute of their bucket."""

    items: Sequence[DueItem]
    minute: int | None = None


class DueList:
    """The due list of one state store. All replicas share it."""

    def __init__(self, state: DaprState, metrics: Metrics) -> None:
        self._state = state
        self._locks = KeyLocks(metrics)
        self._waiting: defaultdict[int, list[_Registration]] = defaultdict(list)
        self._first_bucket = random.randrange(BUCKETS)
        self._full: set[str] = set()
        self._begun = False

    async def register(self, items: Sequence[DueItem], after_seconds: float = FIRST_SECONDS) -> None:
        """Store items that are due after some seconds. They are stored when this returns.

        Items that are registered at the same time share a write. Raises StoreConflict and StoreUnavailable.
        """
        if items and not self._begun:
            await self.done_minute()
        for at in range(0, len(items), ITEMS_AT_ONCE):
            part = items[at : at + ITEMS_AT_ONCE]
            while await self._write(part, after_seconds) * MINUTE_SECONDS < clock.now() + LATEST_SECONDS_BEFORE:
                pass  # the write took so long that a worker may have passed the bucket

    async def done_minute(self) -> int:
        """Return the last minute whose buckets are done. On an empty store that is a minute in the past."""

        async def attempt() -> int:
            stored = await self._state.get(DUE_DONE_KEY)
            if stored:
                return cast(int, stored.value["minute"])
            minute = int(clock.now()) // MINUTE_SECONDS - 1
            await self._state.save(DUE_DONE_KEY, {"minute": minute}, ABSENT)
            return minute

        minute = await retry_until_written(self._locks.of(DUE_DONE_KEY), attempt)
        self._begun = True
        return minute

    async def set_done_minute(self, minute: int) -> None:
        """Move the minute that is done forward, never back."""
        stored = await self._state.get(DUE_DONE_KEY)
        if stored and cast(int, stored.value["minute"]) < minute:
            try:
                await self._state.save(DUE_DONE_KEY, {"minute": minute}, stored.etag)
            except EtagMismatch:
                return  # another replica moves it

    async def filled(self, minutes: Iterable[int]) -> list[tuple[int, str]]:
        """Return the buckets of these minutes that exist: the minute and the key of each. Some may be unreadable."""
        places = [(minute, due_key(minute, number)) for minute in minutes for number in range(BUCKETS)]
        keys = [key for _, key in places]
        try:
            read = await self._state.get_bulk(keys)
        except BulkReadFailed as failure:
            if failure.of_all:
                raise
            read = await read_in_halves(self._state, keys)
        damaged = read.unreadable | read.failed
        return [place for n, place in enumerate(places) if n in damaged or read.documents[n] is not None]

    async def lease(self, key: str, seconds: float) -> Sequence[DueItem] | None:
        """Take a bucket for some seconds and return its items. None: it is gone, or another worker has it.

        Raises ValueUnreadable, StoreUnavailable and what a write raises.
        """
        bucket = await self._read(key)
        if bucket is None or bucket.leased_until > clock.now():
            return None
        value: Document = {**bucket.stored.value, "leased_until": int(clock.now() + seconds)}
        try:
            await self._state.save(key, value, bucket.stored.etag, BUCKET_TTL_SECONDS)
        except EtagMismatch:
            return None
        return bucket.items

    async def remove(self, key: str) -> None:
        """Remove a bucket whose items are done."""
        await self._state.delete_all([key])

    async def _write(self, items: Sequence[DueItem], after_seconds: float) -> int:
        """Write items, and others that wait for the same minute. Returns the minute of the bucket that has them."""
        minute = -int(-(clock.now() + after_seconds) // MINUTE_SECONDS)
        mine = _Registration(items)
        waiting = self._waiting[minute]
        waiting.append(mine)

        async def attempt() -> int:
            if mine.minute is None:
                batch = _fitting([mine, *(other for other in waiting if other is not mine and other.minute is None)])
                bucket_minute = await self._add(minute, [item for each in batch for item in each.items])
                for each in batch:
                    each.minute = bucket_minute
            return cast(int, mine.minute)

        try:
            return await retry_until_written(self._locks.of(f"due:{minute}"), attempt)
        finally:
            waiting.remove(mine)
            if not waiting:
                self._waiting.pop(minute, None)

    async def _add(self, minute: int, items: Sequence[DueItem]) -> int:
        """Add items to the first bucket with room, of this minute or a later one. Returns the bucket's minute."""
        for bucket_minute, key in self._places(minute):
            if key in self._full:
                continue
            bucket = await self._read(key)
            there = bucket.items if bucket else ()
            new = [item for item in dict.fromkeys(items) if item not in there]
            if len(there) + len(new) > MAX_BUCKET_ITEMS:
                self._remember_full(key)
                continue
            if new:
                value: Document = {"items": [cast(list[JSON], list(item)) for item in (*there, *new)]}
                etag = bucket.stored.etag if bucket else ABSENT
                await self._state.save(key, value, etag, BUCKET_TTL_SECONDS)
            return bucket_minute
        raise AssertionError

    def _places(self, minute: int) -> Iterator[tuple[int, str]]:
        """The buckets to try: those of the minute, beginning with this process's own, then those of later minutes."""
        for later in count(minute):
            for number in range(BUCKETS):
                yield later, due_key(later, (self._first_bucket + number) % BUCKETS)

    def _remember_full(self, key: str) -> None:
        if len(self._full) >= MAX_KNOWN_FULL:
            self._full.clear()
        self._full.add(key)

    async def _read(self, key: str) -> Bucket | None:
        stored = await self._state.get(key)
        if stored is None:
            return None
        try:
            items = [DueItem(*item) for item in cast(list[tuple[str, str, int, str, int]], stored.value["items"])]
        except (KeyError, TypeError):
            raise ValueUnreadable(key) from None
        return Bucket(items, cast(float, stored.value.get("leased_until", 0)), stored)


def _fitting(waiting: Sequence[_Registration]) -> list[_Registration]:
    """The first of the waiting registrations, as many as one bucket can have."""
    taken, size = [], 0
    for registration in waiting:
        size += len(registration.items)
        if size > MAX_BUCKET_ITEMS:
            break
        taken.append(registration)
    return taken
