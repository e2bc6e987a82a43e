"""Reading a paged log: one call for the head, then bulk reads for the pages. A read returns the state of one moment.

A long read is returned in parts as they are read, so that it takes no more memory than a short one.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeAlias, cast

import clock
from bulk_reads import PART_BYTES, BulkReads, read_in_halves
from dapr_state import DaprState, ValueUnreadable
from documents import Entry
from errors import HistoryDamaged, StoreConflict
from keys import page_key, spilled_id_key
from log import page_plan, recent_ids
from log.page_plan import Head
from log.repeat_window import Place

READ_ATTEMPTS = 10
"""Attempts of one read. Each one fails only if the log is replaced between the reads of its head and its pages."""
LARGEST_HEAD_BYTES = 4 * 1024 * 1024
"""Largest head, in bytes: no request to Dapr, and so no document, is larger."""
LARGEST_PAGE_BYTES = page_plan.PAGE_ENTRIES * 120_000
"""Largest page, in bytes, of a head that does not know it: messages of the longest length (MAX_ENTRY_BYTES). Documents
of the tutorial's code may have longer ones, but each of them makes 4 MiB of pages at most."""

Span: TypeAlias = Callable[[Head], tuple[int, int]]
"""Chooses the entries to read, given the head: the number of the first one, and the number after the last one."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive entries of a log at one moment; `first` is the number of the first of them, counted from 0.

    `recorded` has the entries of the entry id that was requested with them, None if the id is not remembered.
    """

    head: Head
    first: int
    entries: Sequence[Entry]
    recorded: "Slice | None" = None


@dataclass(frozen=True, slots=True)
class SliceStream:
    """A slice that is read while it is used: close `parts` after use.

    If a part cannot be read any more, `parts` raises HistoryDamaged, ValueUnreadable, StoreConflict or
    StoreUnavailable.
    """

    head: Head
    first: int
    parts: AsyncGenerator[Sequence[Entry], None]
    recorded: Slice | None = None


async def whole(opened: Slice | SliceStream | None) -> Slice | None:
    """Read a slice to its end. Raises what its parts raise."""
    if not isinstance(opened, SliceStream):
        return opened
    async with aclosing(opened.parts) as parts:
        entries = [entry async for part in parts for entry in part]
    return Slice(opened.head, opened.first, entries, opened.recorded)


UNREADABLE = Head(epoch="")
"""In the place of a head that cannot be read, or whose value is no document. It belongs to nobody."""


class PageMissing(Exception):
    """A page that the head names is missing or unreadable: damaged, or its epoch ended meanwhile."""


class LogReader:
    """Reads the logs of one state store, each under its own key."""

    def __init__(self, state: DaprState) -> None:
        self._state = state
        self._bulk_reads = BulkReads(state)

    async def head(self, key: str) -> Head | None:
        """Return the head of a log, also if it is a tombstone; None if there is no log."""
        stored = await self._state.get(key)
        return page_plan.parse(stored.value) if stored else None

    async def heads(self, keys: Sequence[str]) -> AsyncGenerator[Sequence[Head | None], None]:
        """Give the heads of many logs in order and in parts. None: there is no head. UNREADABLE: it is damaged."""
        async with aclosing(self._bulk_reads.parts(keys, LARGEST_HEAD_BYTES)) as reads:
            async for read in reads:
                heads = [page_plan.parse(document) if document else None for document in read.documents]
                damaged = read.unreadable | read.failed
                yield [UNREADABLE if number in damaged else head for number, head in enumerate(heads)]

    async def read(self, key: str, span: Span, entry_id: str | None = None) -> Slice | None:
        """Return a slice of the log, all of it at once. Only for short entries. Raises what `open` raises."""
        return await whole(await self.open(key, span, entry_id))

    async def open(self, key: str, span: Span, entry_id: str | None = None) -> Slice | SliceStream | None:
        """Return a slice of the log: empty for a tombstone, None if there is no log; a stream if it is long.

        Raises HistoryDamaged if the head names a page that is missing, and ValueUnreadable.
        """
        return await self.open_at(key, await self.head(key), span, entry_id)

    async def open_at(
        self, key: str, head: Head | None, span: Span, entry_id: str | None = None
    ) -> Slice | SliceStream | None:
        """Do what `open` does, from a head that was just read. It is read again only if it was replaced since."""
        for _ in range(READ_ATTEMPTS):
            if head is None or head.deleted:
                return Slice(head, 0, ()) if head else None
            first, end = span(head)
            parts = self._parts(key, head, first, end)
            place = await self._place(key, head, entry_id) if entry_id else None
            begun = await _begin(parts)
            recorded = await self._recorded(key, head, place) if place else None
            if begun is None or (place and recorded is None):
                await parts.aclose()
                head = await self.newer_head(key, head)
                continue
            if begun.complete:
                return Slice(head, first, begun.entries, recorded)
            return SliceStream(head, first, self._continued(key, head, begun.entries, parts), recorded)
        raise StoreConflict

    async def entries(self, key: str, head: Head, first: int, end: int) -> Sequence[Entry] | None:
        """Return the entries from number `first` to before number `end`, None if one of their pages is missing."""
        try:
            return [entry async for part in self._parts(key, head, first, end) for entry in part.entries]
        except PageMissing:
            return None

    async def _parts(self, key: str, head: Head, first: int, end: int) -> AsyncGenerator["_Part", None]:
        """Give the entries from number `first` to before number `end`. Raises PageMissing."""
        first_page = first // page_plan.PAGE_ENTRIES
        end_page = -(-min(end, head.sealed) // page_plan.PAGE_ENTRIES)
        keys = [page_key(key, head.epoch, number) for number in range(first_page, end_page)]
        at = first_page * page_plan.PAGE_ENTRIES
        async with aclosing(self._bulk_reads.parts(keys, head.largest_page_bytes or LARGEST_PAGE_BYTES)) as reads:
            async for read in reads:
                if read.failed:
                    raise ValueUnreadable(page_key(key, head.epoch, at // page_plan.PAGE_ENTRIES + min(read.failed)))
                found: list[Entry] = []
                for page in read.documents:
                    history = page.get("history") if page else None
                    if not isinstance(history, list):
                        raise PageMissing
                    found += cast(list[Entry], history)
                yield _Part(found[max(0, first - at) : end - at], read.size_bytes)
                at += len(found)
        yield _Part(head.history[max(0, first - head.sealed) : max(0, end - head.sealed)], 0)

    async def _continued(
        self, key: str, head: Head, entries: Sequence[Entry], parts: AsyncGenerator["_Part", None]
    ) -> AsyncGenerator[Sequence[Entry], None]:
        """Give the entries read so far, then the rest. Raises HistoryDamaged, or StoreConflict if the epoch ended."""
        async with aclosing(parts):
            yield entries
            try:
                async for part in parts:
                    yield part.entries
            except PageMissing:
                await self.newer_head(key, head)
                raise StoreConflict from None

    async def find_spilled(self, key: str, head: Head, entry_ids: Sequence[str]) -> dict[str, Place]:
        """Return the places of those ids that slid out of the head lately. At ordinary rates nothing is read."""
        unknown = [entry_id for entry_id in dict.fromkeys(entry_ids) if page_plan.find(head, entry_id) is None]
        if head.spilled_until < clock.now() or not unknown:
            return {}
        keys = [spilled_id_key(key, head.epoch, recent_ids.digest(entry_id)) for entry_id in unknown]
        read = await read_in_halves(self._state, keys)
        if damaged := read.unreadable | read.failed:
            raise ValueUnreadable(keys[min(damaged)])
        return {
            entry_id: Place(cast(int, document["first"]), cast(int, document["count"]))
            for entry_id, document in zip(unknown, read.documents, strict=True)
            if document
        }

    async def _place(self, key: str, head: Head, entry_id: str) -> Place | None:
        return page_plan.find(head, entry_id) or (await self.find_spilled(key, head, [entry_id])).get(entry_id)

    async def _recorded(self, key: str, head: Head, place: Place) -> Slice | None:
        """Return all entries at a place, None if one of their pages is missing."""
        entries = await self.entries(key, head, place.first, place.first + place.count)
        return None if entries is None else Slice(head, place.first, entries)

    async def newer_head(self, key: str, head: Head) -> Head | None:
        """Read the head again after a page was missing. Raises HistoryDamaged if its epoch has not ended."""
        newer = await self.head(key)
        if newer is not None and newer.epoch == head.epoch and not newer.deleted:
            raise HistoryDamaged
        return newer


@dataclass(frozen=True, slots=True)
class _Part:
    """Consecutive entries, and the bytes that were read for them."""

    entries: Sequence[Entry]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Beginning:
    """The first entries of a read, and whether they are all."""

    entries: Sequence[Entry]
    complete: bool


async def _begin(parts: AsyncGenerator[_Part, None]) -> _Beginning | None:
    """Read the first PART_BYTES, None if one of their pages is missing."""
    entries: list[Entry] = []
    size = 0
    try:
        async for part in parts:
            entries += part.entries
            size += part.size_bytes
            if size > PART_BYTES:
                return _Beginning(entries, complete=False)
    except PageMissing:
        return None
    return _Beginning(entries, complete=True)
