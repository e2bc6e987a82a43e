"""A log over Dapr state: appended to once, read in slices, replaced and deleted, at the same cost at any length."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import page_plan
import recent_turns
from attempts import Writers, until_written
from dapr_state import ABSENT, FOREVER, DaprState
from documents import Document, Entry
from errors import HistoryDamaged, StoreConflict
from page_plan import Head

READ_TRIES = 10
"""Heads that one read follows when each is replaced before its pages are read."""

Admit: TypeAlias = Callable[[Head | None], Awaitable[Document]]
"""Refuses an append by raising, or gives the fields the head shall keep."""
Span: TypeAlias = Callable[[Head], tuple[int, int]]
"""From which entry up to before which one to read, given the head."""


@dataclass(frozen=True, slots=True)
class Write:
    """What to write: pages first, then the head in the one write that decides."""

    head: Head
    pages: Sequence[tuple[str, Document]] = ()
    ttl_seconds: int = FOREVER


Decide: TypeAlias = Callable[[Head | None], Awaitable[Write | None]]
"""What to write given the head, or None where nothing is to be done, or an earlier attempt did it."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Entries of a log as they were at one moment; `first` is the number of the first of them."""

    head: Head
    first: int
    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class Appended:
    """A turn that is in the log; `replayed` where it was there before."""

    turn: Slice
    replayed: bool


class PagedLog:
    """The logs of one state store, each under a key of its own."""

    def __init__(self, state: DaprState) -> None:
        self._state = state
        self._writers = Writers()

    async def head(self, key: str) -> Head | None:
        """The head of a log, a tombstone too; None where there is none."""
        stored = await self._state.get(key)
        return page_plan.parse(stored.value) if stored else None

    async def heads(self, keys: Sequence[str]) -> list[Head | None]:
        """The heads of many logs, in order."""
        return [page_plan.parse(value) if value else None for value in await self._state.get_many(keys)]

    async def revise(self, key: str, decide: Decide) -> Head | None:
        """Read the head, decide, write by etag; all over again when the write was refused or is uncertain.

        Returns the head written, or the one that needed no writing. Raises what `decide` raises, StoreConflict and
        StoreUnavailable.
        """
        sealed: dict[str, list[str]] = {}

        async def attempt() -> Head | None:
            stored = await self._state.get(key)
            head = page_plan.parse(stored.value) if stored else None
            await self._remove_orphans(sealed, head)
            write = await decide(head)
            if write is None:
                return head
            if write.pages:
                sealed.setdefault(write.head.epoch, []).extend(page for page, _ in write.pages)
                await self._state.save_all(write.pages)
            etag = stored.etag if stored else ABSENT
            await self._state.save(key, page_plan.document(write.head), etag, write.ttl_seconds)
            return write.head

        return await until_written(self._writers.of(key), attempt)

    async def append(self, key: str, turn_id: str, entries: Sequence[Entry], admit: Admit) -> Appended:
        """Add a turn whole, once. A turn id among the last ones returns the recorded turn instead."""
        found: recent_turns.Place | None = None

        async def decide(head: Head | None) -> Write | None:
            nonlocal found
            fields = await admit(head)
            found = recent_turns.find(head.turns, turn_id) if head and not head.deleted else None
            if found:
                return None
            pages, successor = page_plan.appended(head, turn_id, entries, fields)
            return Write(successor, page_plan.pages_of(key, head, pages) if head and pages else ())

        head = cast(Head, await self.revise(key, decide))
        if found:
            return Appended(await self._recorded(key, head, found), replayed=True)
        return Appended(Slice(head, head.total - len(entries), entries), replayed=False)

    async def turn(self, key: str, head: Head, turn_id: str) -> Slice | None:
        """A recorded turn, whole, or None for one that is not remembered."""
        place = recent_turns.find(head.turns, turn_id)
        return await self._recorded(key, head, place) if place else None

    async def read(self, key: str, span: Span) -> Slice | None:
        """A slice of the log as it was at one moment; without entries for a tombstone, None where there is no log.

        Raises HistoryDamaged where a page is missing that the head names.
        """
        head = await self.head(key)
        for _ in range(READ_TRIES):
            if head is None or head.deleted:
                return Slice(head, 0, ()) if head else None
            first, end = span(head)
            entries = await self.entries(key, head, first, end)
            if entries is not None:
                return Slice(head, first, entries)
            newer = await self.head(key)
            if newer is not None and newer.epoch == head.epoch and not newer.deleted:
                raise HistoryDamaged
            head = newer
        raise StoreConflict

    async def entries(self, key: str, head: Head, first: int, end: int) -> Sequence[Entry] | None:
        """The entries numbered `first` up to before `end` of a head, or None where a page of them is missing."""
        first = max(0, first)
        if first >= head.sealed:
            return head.history[first - head.sealed : max(0, end - head.sealed)]
        page = first // page_plan.PAGE
        last = -(-min(end, head.sealed) // page_plan.PAGE)
        pages = await self._state.get_many([page_plan.page_key(key, head.epoch, n) for n in range(page, last)])
        found: list[Entry] = []
        for document in pages:
            if document is None:
                return None
            found += cast(list[Entry], document["history"])
        found += head.history[: max(0, end - head.sealed)]
        skipped = page * page_plan.PAGE
        return found[first - skipped : end - skipped]

    async def _recorded(self, key: str, head: Head, place: recent_turns.Place) -> Slice:
        first = head.total - place.back
        found = await self.entries(key, head, first, first + place.count)
        if found is None:
            raise HistoryDamaged
        return Slice(head, first, found)

    async def _remove_orphans(self, sealed: dict[str, list[str]], head: Head | None) -> None:
        """Remove the pages this writer wrote for an epoch that it now reads to be over, and only those."""
        for epoch in list(sealed):
            if head is None or head.deleted or head.epoch != epoch:
                await self._state.delete_all(sealed.pop(epoch))
