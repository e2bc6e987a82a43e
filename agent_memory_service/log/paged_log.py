"""Writing a paged log: append, replace and delete. An append costs the same at any length of the log."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import clock
from dapr_state import DaprState, Stored
from documents import Entry
from errors import BodyTooLarge, HistoryTooLarge, ServiceError, StoreConflict
from log import page_plan
from log.append_batch import Admit, AppendBatch, PendingAppend, WaitingAppends
from log.kept_heads import KeptHead, KeptHeads
from log.log_reader import READ_ATTEMPTS, LogReader, Slice
from log.page_plan import Head, Write
from log.repeat_window import SPILL_TTL_SECONDS, Place
from log.retry import KeyLocks, retry_until_written
from metrics import Metrics
from store_traits import ABSENT, Etag

Decide: TypeAlias = Callable[[Head | None], Awaitable[Write | None]]
"""Returns what to write, given the head. None: nothing is to be done, or an earlier attempt did it."""

SPARE_BYTES = 8 * 1024
"""Bytes of a head that `check_room` leaves for what the append adds to its fields, and for the rest of the request."""

WrittenPages: TypeAlias = dict[str, list[str]]
"""The keys of the pages that the attempts of one operation wrote, by epoch."""


@dataclass(frozen=True, slots=True)
class Appended:
    """The outcome of an append: its entries in the log. `replayed` is true if they were there before the request."""

    recorded: Slice
    replayed: bool


class PagedLog(LogReader):
    """Reads and writes the logs of one state store, each under its own key."""

    def __init__(self, state: DaprState, metrics: Metrics) -> None:
        super().__init__(state)
        self._locks = KeyLocks(metrics)
        self._waiting = WaitingAppends()
        self._kept = KeptHeads()
        state.on_failure.append(self._kept.clear)

    def keep(self, key: str, stored: Stored | None, size_bytes: int, head: Head | None = None) -> None:
        """Keep a head that was just read, or that there is none, for the append that probably follows.

        `head` is the stored document if it was parsed already. A document without an etag is not kept.
        """
        if stored is None:
            self._kept.keep(key, None, ABSENT, 0)
        elif stored.etag:
            self._kept.keep(key, head or page_plan.parse(stored.value), stored.etag, size_bytes)

    async def compare_and_swap(self, key: str, decide: Decide) -> Head | None:
        """Read the head, decide, and write by etag; retry if the write was refused or is uncertain.

        Returns the head after that. Raises what `decide` raises, StoreConflict and StoreUnavailable.
        """
        written: WrittenPages = {}
        return await retry_until_written(self._locks.of(key), lambda: self._attempt(key, written, decide))

    async def append(self, key: str, entry_id: str, entries: Sequence[Entry], admit: Admit) -> Appended:
        """Add entries that share one id, all of them, once. If the id is remembered, return the recorded entries.

        Raises what `admit` raises, HistoryTooLarge, StoreConflict and StoreUnavailable.
        """
        for _ in range(READ_ATTEMPTS):
            append = PendingAppend(entry_id, entries, admit)
            head = await self._append(key, append)
            recorded = await self._recorded(key, head, cast(Place, append.place))
            if recorded is not None:
                return Appended(recorded, append.replayed or list(recorded.entries) != list(entries))
            await self.newer_head(key, head)
        raise StoreConflict

    async def check_room(self, key: str, head: Head, entry_id: str, entries: Sequence[Entry]) -> None:
        """Raise HistoryTooLarge if the log cannot take these entries, because a document would be too large."""
        grown = page_plan.with_entries(head, entry_id, entries, head.fields, clock.now())
        write = page_plan.sealing_write(key, head, grown)
        documents = [(key, page_plan.document(write.head))]
        if write.announces:
            write = page_plan.sealing_write(key, write.head, grown)
            documents.append((key, page_plan.document(write.head)))
        for document_key, document in (*documents, *write.pages):
            if not await self._state.has_room(document_key, document, SPARE_BYTES):
                raise HistoryTooLarge

    async def _append(self, key: str, append: PendingAppend) -> Head:
        """Return the head that has the entries of `append`, written by this or by another waiting append."""
        written: WrittenPages = {}
        may_use_kept = True

        async def write(waiting: Sequence[PendingAppend], kept: KeptHead | None = None) -> Head:
            batch = AppendBatch(key, append, waiting, self.find_spilled)
            head = cast(Head, await self._attempt(key, written, batch.decide, kept))
            batch.report(head)
            return head

        with self._waiting.entered(key, append) as waiting:

            async def attempt() -> Head:
                nonlocal may_use_kept
                if append.refusal is not None:
                    raise append.refusal
                if append.head is not None:
                    return append.head
                kept, may_use_kept = self._kept.take(key) if may_use_kept else None, False
                try:
                    return await write(waiting, kept)
                except BodyTooLarge:
                    return await write([append])  # there may be room for this one alone

            try:
                return await retry_until_written(self._locks.of(key), attempt)
            except BodyTooLarge:
                raise HistoryTooLarge from None

    async def _attempt(
        self, key: str, written: WrittenPages, decide: Decide, kept: KeptHead | None = None
    ) -> Head | None:
        """Read, decide and write once. Pages that the head does not announce yet take a second round.

        A kept head takes the place of the read only if its write succeeds. What else is decided on it may be old.
        """
        if kept is not None:
            head = await self._attempt_on_kept(key, written, decide, kept)
            if head is not None:
                return head
        while True:
            head, etag = await self._read_head(key)
            await self._remove_orphans(written, head)
            write = await decide(head)
            if write is None:
                return head
            await self._write(key, written, write, etag)
            if not write.announces:
                return write.head

    async def _attempt_on_kept(self, key: str, written: WrittenPages, decide: Decide, kept: KeptHead) -> Head | None:
        """Decide on a kept head and write once. Returns None if the head must be read."""
        try:
            write = await decide(kept.head)
        except ServiceError:
            return None
        if write is None:
            return None
        await self._write(key, written, write, kept.etag)
        return None if write.announces else write.head

    async def _write(self, key: str, written: WrittenPages, write: Write, etag: Etag) -> None:
        if write.pages:
            written.setdefault(write.head.epoch, []).extend(page for page, _ in write.pages)
        if write.pages or write.spilled_ids:
            await self._state.save_all(write.pages, write.spilled_ids, SPILL_TTL_SECONDS)
        await self._state.save(key, page_plan.document(write.head), etag, write.ttl_seconds)

    async def _read_head(self, key: str) -> tuple[Head | None, Etag]:
        stored = await self._state.get(key)
        return (page_plan.parse(stored.value), stored.etag) if stored else (None, ABSENT)

    async def _remove_orphans(self, written: WrittenPages, head: Head | None) -> None:
        """Remove the pages that this operation wrote for epochs that have ended, and no others."""
        for epoch in list(written):
            if head is None or head.deleted or head.epoch != epoch:
                await self._state.delete_all(written.pop(epoch))
