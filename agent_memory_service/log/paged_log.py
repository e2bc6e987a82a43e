"""Writing a log over Dapr state: appended to once, replaced and deleted, at the same cost at any length."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from dapr_state import ABSENT, FOREVER, DaprState
from documents import Document, Entry
from errors import ServiceError, StoreConflict
from log import page_plan, recent_turns
from log.log_reader import READ_TRIES, LogReader, Slice
from log.page_plan import Head
from log.retry import Writers, until_written

Admit: TypeAlias = Callable[[Head | None], Awaitable[Document]]
"""Refuses an append by raising, or gives the fields the head shall keep."""


@dataclass(frozen=True, slots=True)
class Write:
    """What to write: pages first, then the head in the one write that decides."""

    head: Head
    pages: Sequence[tuple[str, Document]] = ()
    ttl_seconds: int = FOREVER


Decide: TypeAlias = Callable[[Head | None], Awaitable[Write | None]]
"""What to write given the head, or None where nothing is to be done, or an earlier attempt did it."""


@dataclass(frozen=True, slots=True)
class Appended:
    """A turn that is in the log; `replayed` where it was there before it was asked for."""

    turn: Slice
    replayed: bool


@dataclass(eq=False, slots=True)
class _Offer:
    """A turn that waits to be added, and what became of it: the head that holds it, or a refusal.

    `tried` once a write with it was attempted: found after that, it is this very offer's.
    """

    turn_id: str
    entries: Sequence[Entry]
    admit: Admit
    tried: bool = False
    replayed: bool = False
    head: Head | None = None
    refusal: ServiceError | None = None


class PagedLog(LogReader):
    """The logs of one state store, each under a key of its own."""

    def __init__(self, state: DaprState) -> None:
        super().__init__(state)
        self._writers = Writers()
        self._offers: dict[str, list[_Offer]] = {}

    async def revise(self, key: str, decide: Decide) -> Head | None:
        """Read the head, decide, write by etag; all over again when the write was refused or is uncertain.

        Returns the head written, or the one that needed no writing. Raises what `decide` raises, StoreConflict and
        StoreUnavailable.
        """
        sealed: dict[str, list[str]] = {}
        return await until_written(self._writers.of(key), lambda: self._attempt(key, sealed, decide))

    async def append(self, key: str, turn_id: str, entries: Sequence[Entry], admit: Admit) -> Appended:
        """Add a turn whole, once. A turn id among the last ones returns the recorded turn instead."""
        for _ in range(READ_TRIES):
            offer = _Offer(turn_id, entries, admit)
            head = await self._added(key, offer)
            place = cast(recent_turns.Place, recent_turns.find(head.turns, turn_id))
            turn = await self._recorded(key, head, place)
            if turn is not None:
                return Appended(turn, offer.replayed or list(turn.entries) != list(entries))
            await self._successor(key, head)
        raise StoreConflict

    async def _added(self, key: str, offer: _Offer) -> Head:
        """Add a turn in one write with those that wait for the same log in this process. Returns the head it is in."""
        offers = self._offers.setdefault(key, [])
        offers.append(offer)
        sealed: dict[str, list[str]] = {}

        async def attempt() -> Head:
            if offer.refusal is not None:
                raise offer.refusal
            return offer.head or await self._add(key, sealed, offer, offers)

        try:
            return await until_written(self._writers.of(key), attempt)
        finally:
            offers.remove(offer)
            if not offers:
                del self._offers[key]

    async def _add(self, key: str, sealed: dict[str, list[str]], first: _Offer, waiting: Sequence[_Offer]) -> Head:
        """Add the first turn, and as many that wait as one write takes; tell each what became of it."""
        taken: list[_Offer] = []
        refused: list[tuple[_Offer, ServiceError]] = []

        async def decide(head: Head | None) -> Write | None:
            grown = before = page_plan.begun(head)
            room = page_plan.HEAD_KEEPS
            for offer in [first, *(offer for offer in waiting if offer is not first)]:
                if len(offer.entries) > room:
                    break
                try:
                    fields = await offer.admit(head if grown is before else grown)
                except ServiceError as refusal:
                    if offer is first:
                        raise
                    refused.append((offer, refusal))
                    continue
                taken.append(offer)
                found = recent_turns.find(grown.turns, offer.turn_id) is not None
                offer.replayed = found and not offer.tried
                if not found:
                    offer.tried = True
                    grown = page_plan.grown(grown, offer.turn_id, offer.entries, fields)
                    room -= len(offer.entries)
            if grown is before:
                return None
            pages = page_plan.full_pages(grown)
            return Write(page_plan.sealed_off(grown, pages), page_plan.pages_of(key, grown, pages))

        head = cast(Head, await self._attempt(key, sealed, decide))
        # Only now: had another's write come first, these would be refused or taken on what never was.
        for offer in taken:
            offer.head = head
        for offer, refusal in refused:
            offer.refusal = refusal
        return head

    async def _attempt(self, key: str, sealed: dict[str, list[str]], decide: Decide) -> Head | None:
        """One try: read, decide, write. `sealed` keeps the pages of all tries of one writer, by epoch."""
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

    async def _remove_orphans(self, sealed: dict[str, list[str]], head: Head | None) -> None:
        """Remove the pages this writer wrote for an epoch that it now reads to be over, and only those."""
        for epoch in list(sealed):
            if head is None or head.deleted or head.epoch != epoch:
                await self._state.delete_all(sealed.pop(epoch))
