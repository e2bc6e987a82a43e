"""Batching of appends: appends that wait for the same log in this process are added by one write."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import clock
from documents import Document, Entry
from errors import ServiceError
from log import page_plan, recent_ids
from log.page_plan import Head, Write

Admit: TypeAlias = Callable[[Head | None], Awaitable[Document]]
"""Returns the fields that the head gets with an append, or raises a ServiceError to refuse the append."""


@dataclass(eq=False, slots=True)
class PendingAppend:
    """An append that waits, and later its outcome: the head that has its entries, or the refusal.

    `attempted` is true after a first attempt to write it. If its entry id is found after that, this append may have
    written it, so it is not a repeat.
    """

    entry_id: str
    entries: Sequence[Entry]
    admit: Admit
    attempted: bool = False
    replayed: bool = False
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

    def __init__(self, key: str, first: PendingAppend, waiting: Sequence[PendingAppend]) -> None:
        self._key = key
        self._first = first
        self._waiting = waiting
        self._admitted: list[PendingAppend] = []
        self._refused: list[tuple[PendingAppend, ServiceError]] = []

    async def decide(self, head: Head | None) -> Write | None:
        """Return the write that adds the batch to `head`, None if all of its entries are there.

        Raises what `admit` of the first append raises.
        """
        batched = start = page_plan.open_head(head)
        room, now = page_plan.HEAD_MIN_ENTRIES, clock.now()
        for append in [self._first, *(append for append in self._waiting if append is not self._first)]:
            if len(append.entries) > room:
                break
            fields = await self._admit(append, head if batched is start else batched)
            if fields is None:
                continue
            remembered = recent_ids.find(batched.recent_ids, append.entry_id) is not None
            append.replayed = remembered and not append.attempted
            if not remembered:
                append.attempted = True
                batched = page_plan.with_entries(batched, append.entry_id, append.entries, fields, now)
                room -= len(append.entries)
        return None if batched is start else page_plan.sealing_write(self._key, start, batched)

    async def _admit(self, append: PendingAppend, head: Head | None) -> Document | None:
        """Return the fields that the head gets with the append, None if the append is refused."""
        try:
            fields = await append.admit(head)
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
