"""Reading a log over Dapr state: the head in one call, pages in bulk, always as they were at one moment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from dapr_state import DaprState
from documents import Entry
from errors import HistoryDamaged, StoreConflict
from log import page_plan, recent_turns
from log.page_plan import Head

READ_TRIES = 10
"""Heads that one read follows when each is replaced before its pages are read."""

Span: TypeAlias = Callable[[Head], tuple[int, int]]
"""From which entry up to before which one to read, given the head."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Entries of a log as they were at one moment; `first` is the number of the first of them.

    `turn` is the recorded turn that was asked for with them, None where it is not remembered.
    """

    head: Head
    first: int
    entries: Sequence[Entry]
    turn: "Slice | None" = None


class LogReader:
    """The logs of one state store, each under a key of its own."""

    def __init__(self, state: DaprState) -> None:
        self._state = state

    async def head(self, key: str) -> Head | None:
        """The head of a log, a tombstone too; None where there is none."""
        stored = await self._state.get(key)
        return page_plan.parse(stored.value) if stored else None

    async def heads(self, keys: Sequence[str]) -> list[Head | None]:
        """The heads of many logs, in order."""
        return [page_plan.parse(value) if value else None for value in await self._state.get_many(keys)]

    async def read(self, key: str, span: Span, turn_id: str | None = None) -> Slice | None:
        """A slice of the log; without entries for a tombstone, None where there is no log.

        Raises HistoryDamaged where a page is missing that the head names.
        """
        head = await self.head(key)
        for _ in range(READ_TRIES):
            if head is None or head.deleted:
                return Slice(head, 0, ()) if head else None
            first, end = span(head)
            entries = await self.entries(key, head, first, end)
            place = recent_turns.find(head.turns, turn_id) if turn_id else None
            turn = await self._recorded(key, head, place) if place else None
            if entries is not None and (turn is not None or place is None):
                return Slice(head, first, entries, turn)
            head = await self._successor(key, head)
        raise StoreConflict

    async def entries(self, key: str, head: Head, first: int, end: int) -> Sequence[Entry] | None:
        """The entries numbered `first` up to before `end` of a head, or None where a page of them is missing."""
        if first >= head.sealed:
            return head.history[first - head.sealed : max(0, end - head.sealed)]
        page = first // page_plan.PAGE
        last = -(-min(end, head.sealed) // page_plan.PAGE)
        found: list[Entry] = []
        for document in await self._state.get_many(
            [page_plan.page_key(key, head.epoch, number) for number in range(page, last)]
        ):
            if document is None:
                return None
            found += cast(list[Entry], document["history"])
        found += head.history[: max(0, end - head.sealed)]
        skipped = page * page_plan.PAGE
        return found[first - skipped : end - skipped]

    async def _recorded(self, key: str, head: Head, place: recent_turns.Place) -> Slice | None:
        """The turn at a place of a head, whole, or None where a page of it is missing."""
        first = head.total - place.back
        entries = await self.entries(key, head, first, first + place.count)
        return None if entries is None else Slice(head, first, entries)

    async def _successor(self, key: str, head: Head) -> Head | None:
        """What came after a head whose page is missing. Raises HistoryDamaged where its epoch still lives."""
        newer = await self.head(key)
        if newer is not None and newer.epoch == head.epoch and not newer.deleted:
            raise HistoryDamaged
        return newer
