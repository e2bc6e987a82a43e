"""Reading a paged log: one call for the head, then bulk reads for the pages. A read returns the state of one moment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from dapr_state import DaprState
from documents import Entry
from errors import HistoryDamaged, StoreConflict
from keys import page_key
from log import page_plan, recent_ids
from log.page_plan import Head

READ_ATTEMPTS = 10
"""Attempts of one read. Each one fails only if the log is replaced between the reads of its head and its pages."""

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


class LogReader:
    """Reads the logs of one state store, each under its own key."""

    def __init__(self, state: DaprState) -> None:
        self._state = state

    async def head(self, key: str) -> Head | None:
        """Return the head of a log, also if it is a tombstone; None if there is no log."""
        stored = await self._state.get(key)
        return page_plan.parse(stored.value) if stored else None

    async def heads(self, keys: Sequence[str]) -> list[Head | None]:
        """Return the heads of many logs, in order."""
        return [page_plan.parse(value) if value else None for value in await self._state.get_many(keys)]

    async def read(self, key: str, span: Span, entry_id: str | None = None) -> Slice | None:
        """Return a slice of the log: empty for a tombstone, None if there is no log.

        Raises HistoryDamaged if the head names a page that is missing.
        """
        head = await self.head(key)
        for _ in range(READ_ATTEMPTS):
            if head is None or head.deleted:
                return Slice(head, 0, ()) if head else None
            first, end = span(head)
            entries = await self.entries(key, head, first, end)
            place = recent_ids.find(head.recent_ids, entry_id) if entry_id else None
            recorded = await self._recorded(key, head, place) if place else None
            if entries is not None and (recorded is not None or place is None):
                return Slice(head, first, entries, recorded)
            head = await self.newer_head(key, head)
        raise StoreConflict

    async def entries(self, key: str, head: Head, first: int, end: int) -> Sequence[Entry] | None:
        """Return the entries from number `first` to before number `end`, None if one of their pages is missing."""
        in_head = head.history[max(0, first - head.sealed) : max(0, end - head.sealed)]
        if first >= head.sealed:
            return in_head
        first_page = first // page_plan.PAGE_ENTRIES
        end_page = -(-min(end, head.sealed) // page_plan.PAGE_ENTRIES)
        found: list[Entry] = []
        for page in await self._state.get_many(
            [page_key(key, head.epoch, number) for number in range(first_page, end_page)]
        ):
            if page is None:
                return None
            found += cast(list[Entry], page["history"])
        found += in_head
        skipped = first_page * page_plan.PAGE_ENTRIES
        return found[first - skipped : end - skipped]

    async def _recorded(self, key: str, head: Head, place: recent_ids.Place) -> Slice | None:
        """Return all entries at a place, None if one of their pages is missing."""
        first = head.total - place.back
        entries = await self.entries(key, head, first, first + place.count)
        return None if entries is None else Slice(head, first, entries)

    async def newer_head(self, key: str, head: Head) -> Head | None:
        """Read the head again after a page was missing. Raises HistoryDamaged if its epoch has not ended."""
        newer = await self.head(key)
        if newer is not None and newer.epoch == head.epoch and not newer.deleted:
            raise HistoryDamaged
        return newer
