"""Batching of appends: appends that wait for the same log in this process are added by one write."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import clock
from dapr_state import ValueUnreadable
from documents import Document, Entry
from errors import ServiceError
from log import page_plan
from log.page_plan import Head, Write
from log.repeat_window import Place

Admit: TypeAlias = Callable[[Head | None, bool], Awaitable[Document]]
"""Returns the fields that the head gets with an append, or raises a ServiceError to refuse the append. Its second
argument is whether the entries are in the log already: then nothing is added, and the fields are not used."""

FindSpilled: TypeAlias = Callable[[str, Head, Sequence[str]], Awaitable[Mapping[str, Place]]]
"""Returns the places of those entry ids that slid out of a log's head lately."""


@dataclass(eq=False, slots=True)
class PendingAppend:
    """An append that waits, and later its outcome: the head that has its entries and their place, or the refusal.

    `attempted` is true after a first attempt to write it. If its entry id is found after that, this append may have
    written it, so it is not a repeat.
    """

    entry_id: str
    entries: Sequence[Entry]
    admit: Admit
    attempted: bool = False
    replayed: bool = False
    place: Place | None = None
    head: Head | None = None
    refusal: ServiceError | None = None


class WaitingAppends:
    """The appends of this process that wait for a write, by the key of their log."""

    def __init__(self) -> None:
        self._by_key: defaultdict[str, list[PendingAppend]] = defaultdict(list)

    @contextmanager
    def entered(self, key: str, append: PendingAppend) -> Iterator[Sequence[PendingAppend]]:
        """Let `append` wait for the time of the block. Gives all that wait for the same log, oldest first."""
        waiting = self._by_key[key]
        waiting.append(append)
        try:
            yield waiting
        finally:
            waiting.remove(append)
            if not waiting:
                del self._by_key[key]


class AppendBatch:
    """One attempt to add the first append, and with it as many waiting appends as one write can take."""

    def __init__(
        self, key: str, first: PendingAppend, waiting: Sequence[PendingAppend], find_spilled: FindSpilled
    ) -> None:
        self._key = key
        self._find_spilled = find_spilled
        self._first = first
        self._waiting = waiting
        self._admitted: list[PendingAppend] = []
        self._refused: list[tuple[PendingAppend, ServiceError]] = []

    async def decide(self, head: Head | None) -> Write | None:
        """Return the write that adds the batch to `head`, None if all of its entries are there.

        Raises what `admit` of the first append raises.
        """
        self._admitted, self._refused = [], []  # an earlier round may have admitted others
        batched = start = page_plan.open_head(head)
        room, now, added = page_plan.HEAD_MIN_ENTRIES, clock.now(), 0
        appends = [self._first, *(append for append in self._waiting if append is not self._first)]
        try:
            spilled = await self._find_spilled(self._key, start, [append.entry_id for append in appends])
        except ValueUnreadable:  # of one id, which must fail its own turn only: so each is tried alone
            appends = [self._first]
            spilled = await self._find_spilled(self._key, start, [self._first.entry_id])
        for append in appends:
            if len(append.entries) > room:
                break
            place = page_plan.find(batched, append.entry_id) or spilled.get(append.entry_id)
            fields = await self._admit(append, head if batched is start else batched, is_repeat=place is not None)
            if fields is None:
                continue
            append.replayed = place is not None and not append.attempted
            append.place = place or Place(batched.total, len(append.entries))
            if place is None:
                append.attempted = True
                batched = page_plan.with_entries(batched, append.entry_id, append.entries, fields, now)
                room -= len(append.entries)
                added += 1
        if batched is start:
            return None
        write = page_plan.sealing_write(self._key, start, batched)
        return page_plan.with_spilled_ids(self._key, start, added, write, now)

    async def _admit(self, append: PendingAppend, head: Head | None, *, is_repeat: bool) -> Document | None:
        """Return the fields that the head gets with the append, None if the append is refused."""
        try:
            fields = await append.admit(head, is_repeat)
        except ServiceError as refusal:
            if append is self._first:
                raise
            self._refused.append((append, refusal))
            return None
        self._admitted.append(append)
        return fields

    def report(self, head: Head) -> None:
        """Set the outcomes. Call it only after the write succeeded; a lost race would make them wrong."""
        for append in self._admitted:
            append.head = head
        for append, refusal in self._refused:
            append.refusal = refusal
