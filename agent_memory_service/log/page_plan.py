"""What a paged log writes: pure functions from a head and new entries to documents.

A log is one head and its pages. The head has the newest entries; its write decides whether an append counts. A page has
older entries and is written once. docs/architecture.md explains why each step is safe; its part "Words" says what
seals, announcements, tombstones and the kinds of epochs are.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, cast

from pydantic_core import to_json

from documents import JSON, Document, Entry
from keys import page_key, spilled_id_key
from log import recent_ids, repeat_window
from log.repeat_window import Mark, Place

PAGE_ENTRIES = 12
"""Entries of a page. Never change it for stored data: all writers of page n of an epoch must write the same entries.
The value is from the costs in docs/benchmarks.md."""
HEAD_MIN_ENTRIES = 20
"""Entries that stay in the head when it is sealed, so that one read returns the newest 20."""
TUTORIAL_EPOCH = "0"
"""The epoch of a document without one: the tutorial's code wrote it."""

REMEMBERED_EPOCH_SECONDS = 10
"""How long a head remembers a replaced epoch, in seconds: longer than the deadline of the replace that began it."""
REMEMBERED_PAGES_SECONDS = 180
"""How long a head remembers a replaced epoch with pages, in seconds: until its first scheduled sweep has removed them.
That sweep comes within two minutes and a pass of the worker."""
MAX_REMEMBERED_EPOCHS = 64
"""Replaced epochs that a head remembers at most: 2 KB of it."""

_HEAD_FIELDS = {
    *("history", "sealed", "epoch", "largest_page", "announced", "epochs", "deleted"),
    *("turns", "marks", "spilled_until", "was"),
}


class EpochPages(NamedTuple):
    """An epoch, and the most pages that it may have in the store."""

    epoch: str
    pages: int


class PastEpoch(NamedTuple):
    """An epoch that was replaced, when, in seconds since 1970, and the most pages that it had then."""

    epoch: str
    at: int
    pages: int = 0


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a log. Its document has the same names, except where a field says "stored as"."""

    history: Sequence[Entry] = ()
    """The newest entries, the oldest of them first."""
    sealed: int = 0
    """Number of entries in pages: those before `history`."""
    epoch: str = TUTORIAL_EPOCH
    """The current epoch. The pages that count are pages of this epoch."""
    announced: int = 0
    """Number of pages of the current epoch that may be in the store: nobody writes a page before a head has announced
    it."""
    largest_page_bytes: int = 0
    """Stored as `largest_page`. Size of the largest page as JSON, in bytes; 0 if it is unknown. Readers bound their
    reads with it."""
    past_epochs: tuple[PastEpoch, ...] = ()
    """Stored as `epochs`. The epochs that were replaced lately. A replace finds its own epoch here if another replace
    followed; a delete finds the pages to remove."""
    recent_ids: str = recent_ids.EMPTY
    """Stored as `turns`. The entry ids of the last 128 appends, in a string of fixed length (recent_ids.py)."""
    marks: tuple[Mark, ...] = ()
    """How long the log was at some times (repeat_window.py)."""
    spilled_until: int = 0
    """Until when keys of spilled ids may exist, in seconds since 1970; 0 if there are none (repeat_window.py)."""
    first_version_epochs: tuple[EpochPages, ...] = ()
    """Stored as `was`. Only this service's first version writes it: epochs that ended, and that it has not swept."""
    deleted: bool = False
    """This head is a tombstone."""
    fields: Document = field(default_factory=dict)
    """All other fields of the document. They belong to the user of the log, as a session's owner and summary."""

    @property
    def total(self) -> int:
        """The number of entries in the log."""
        return self.sealed + len(self.history)

    @property
    def own_pages(self) -> tuple[EpochPages, ...]:
        """The current epoch with the pages that it may have; empty if it has none."""
        return (EpochPages(self.epoch, self.announced),) if self.announced else ()

    @property
    def replaced_pages(self) -> tuple[EpochPages, ...]:
        """The epochs that were replaced lately, with the pages that may not be swept yet."""
        return tuple(EpochPages(past.epoch, past.pages) for past in self.past_epochs if past.pages)


@dataclass(frozen=True, slots=True)
class Write:
    """What one attempt writes: first pages and spilled ids, then the head. Only the head's write decides."""

    head: Head
    pages: Sequence[tuple[str, Document]] = ()
    """Full pages that were moved out of the head, each with its key."""
    spilled_ids: Sequence[tuple[str, Document]] = ()
    """The places of ids that leave the head early, each with its key."""
    ttl_seconds: int | None = None
    """The TTL of the head; None: it stays."""
    announces: bool = False
    """This write only announces pages: `head` is the one that was read, with a larger `announced`. After it the attempt
    reads the head again and decides again (PagedLog._attempt). Then it writes the pages and adds the entries."""


def new_epoch() -> str:
    """Return an epoch that no other attempt has."""
    return secrets.token_hex(8)


def parse(document: Document) -> Head:
    """Read a head from its document. A document of the tutorial's code is a head too."""
    history = cast(list[Entry], document.get("history") or [])
    sealed = cast(int, document.get("sealed", 0))
    deleted = bool(document.get("deleted", False))
    return Head(
        history=history,
        sealed=sealed,
        epoch=cast(str, document.get("epoch", TUTORIAL_EPOCH)),
        announced=_announced(cast(int | None, document.get("announced")), sealed, len(history), deleted),
        largest_page_bytes=_largest_page_bytes(document.get("largest_page"), sealed),
        past_epochs=tuple(PastEpoch(*item) for item in cast(list[tuple[str, int, int]], document.get("epochs", []))),
        recent_ids=cast(str, document.get("turns", recent_ids.EMPTY)),
        marks=tuple(Mark(*item) for item in cast(list[tuple[int, int]], document.get("marks", []))),
        spilled_until=cast(int, document.get("spilled_until", 0)),
        first_version_epochs=tuple(EpochPages(*item) for item in cast(list[tuple[str, int]], document.get("was", []))),
        deleted=deleted,
        fields={name: value for name, value in document.items() if name not in _HEAD_FIELDS},
    )


def _largest_page_bytes(stored: JSON, sealed: int) -> int:
    """Return the size of the largest page of a stored head, 0 if it is unknown.

    It is stored with the number of sealed entries that it is about: this service's first version does not know it,
    seals more entries and leaves it as it is.
    """
    about, largest = cast(tuple[int, int], stored or (0, 0))
    return largest if about == sealed else 0


def _announced(stored: int | None, sealed: int, in_head: int, deleted: bool) -> int:
    """Return how many pages a stored head's epoch may have.

    The tutorial's code and this service's first version announce nothing; a replica of that version may have sealed
    as many entries as the head had, and may also seal more than this version announced.
    """
    if deleted:
        return stored or 0
    without_announcement = (sealed + in_head) // PAGE_ENTRIES + 1
    if stored is None:
        return without_announcement
    return max(stored, without_announcement) if sealed else stored


def document(head: Head) -> Document:
    """Return the document of a head. The tutorial's code finds `history` where it expects it."""
    stored: Document = {
        **head.fields,
        "history": cast(list[JSON], list(head.history)),
        "sealed": head.sealed,
        "epoch": head.epoch,
        "announced": head.announced,
    }
    if head.largest_page_bytes:
        stored["largest_page"] = [head.sealed, head.largest_page_bytes]
    if head.past_epochs:
        stored["epochs"] = [list(past) for past in head.past_epochs]
    if head.recent_ids != recent_ids.EMPTY:
        stored["turns"] = head.recent_ids
    if head.marks:
        stored["marks"] = [[at, total] for at, total in head.marks]
    if head.spilled_until:
        stored["spilled_until"] = head.spilled_until
    if head.first_version_epochs:
        stored["was"] = [[epoch, pages] for epoch, pages in head.first_version_epochs]
    if head.deleted:
        stored["deleted"] = True
    return stored


def open_head(head: Head | None) -> Head:
    """Return the head to append to. A missing log and a tombstone start a new epoch."""
    if head is None or head.deleted:
        return Head(epoch=new_epoch(), first_version_epochs=head.first_version_epochs if head else ())
    return head


def with_entries(head: Head, entry_id: str, entries: Sequence[Entry], fields: Document, now: float) -> Head:
    """Return the head with the entries of one append added and with new `fields`."""
    return replace(
        head,
        history=[*head.history, *entries],
        recent_ids=recent_ids.add(head.recent_ids, entry_id, len(entries)),
        marks=repeat_window.marked(head.marks, now, head.total),
        past_epochs=_remembered(head.past_epochs, now),
        fields=fields,
    )


def find(head: Head, entry_id: str) -> Place | None:
    """Return the place of the entries with this id, None if the head does not remember it."""
    slot = recent_ids.find(head.recent_ids, entry_id)
    return _place(head, slot) if slot else None


def with_spilled_ids(key: str, before: Head, appends: int, write: Write, now: float) -> Write:
    """Return the write of so many appends with the ids that slide out of the head within the window of repeats."""
    slots = [
        slot
        for slot in recent_ids.oldest(before.recent_ids, appends)
        if not repeat_window.is_past(_place(before, slot), before.marks, now)
    ]
    if not slots or write.announces:
        return write
    ids: list[tuple[str, Document]] = [
        (spilled_id_key(key, before.epoch, slot.digest), {"first": before.total - slot.back, "count": slot.count})
        for slot in slots
    ]
    return replace(write, spilled_ids=ids, head=replace(write.head, spilled_until=repeat_window.spilled_until(now)))


def _place(head: Head, slot: recent_ids.Slot) -> Place:
    return Place(head.total - slot.back, slot.count)


def sealing_write(key: str, before: Head, grown: Head) -> Write:
    """Return the write of a head that got new entries: full pages are moved out of it first.

    `before` is the head as it was read. If it does not announce these pages, the write announces them and no more.
    A head that is about to be full announces the next pages, so ordinary appends need no such write.
    """
    count = full_pages(grown)
    needed = grown.sealed // PAGE_ENTRIES + count
    if count and needed > before.announced:
        return Write(replace(before, announced=needed), announces=True)
    pages = oldest_pages(key, grown, count)
    left = replace(without_pages(grown, count), largest_page_bytes=_largest_with(grown, pages))
    return Write(replace(left, announced=max(before.announced, _pages_soon(left))), pages)


def _largest_with(head: Head, pages: Sequence[tuple[str, Document]]) -> int:
    """Return the size of the largest page after these pages were added, 0 if that of the older ones is unknown."""
    if head.sealed and not head.largest_page_bytes:
        return 0
    return max([head.largest_page_bytes, *(len(to_json(page)) for _, page in pages)])


def _pages_soon(head: Head) -> int:
    """Return the number of pages that the next append may make; 0 if the head has far to go."""
    if len(head.history) <= HEAD_MIN_ENTRIES:
        return 0
    return -(-(head.total - PAGE_ENTRIES) // PAGE_ENTRIES)


def full_pages(head: Head) -> int:
    """Return how many pages to move out of a head that got new entries: as few as leave at most 32 entries in it.

    More than HEAD_MIN_ENTRIES entries stay in the head, and at most HEAD_MIN_ENTRIES are new. So all new entries stay
    in the head, and pages get only entries that were read from it: all writers of page n write the same bytes.
    """
    return max(0, -(-(len(head.history) - HEAD_MIN_ENTRIES - PAGE_ENTRIES) // PAGE_ENTRIES))


def without_pages(head: Head, count: int) -> Head:
    """Return the head without its oldest `count` pages of entries."""
    entries = count * PAGE_ENTRIES
    return replace(head, history=head.history[entries:], sealed=head.sealed + entries)


def oldest_pages(key: str, head: Head, count: int) -> list[tuple[str, Document]]:
    """Return the oldest `count` pages of a head's entries, each with its key."""
    first = head.sealed // PAGE_ENTRIES
    return [
        (
            page_key(key, head.epoch, first + number),
            {"history": cast(list[JSON], list(head.history[number * PAGE_ENTRIES : (number + 1) * PAGE_ENTRIES]))},
        )
        for number in range(count)
    ]


def replacement(head: Head | None, entries: Sequence[Entry], fields: Document, now: float) -> Head:
    """Return the head of a new epoch that has all of `entries`. Later appends move them to pages.

    It remembers no entry ids: an append from before the replace is new if it is repeated.
    """
    past = (*head.past_epochs, PastEpoch(head.epoch, int(now), head.announced)) if head else ()
    return Head(history=entries, epoch=new_epoch(), past_epochs=_remembered(past, now), fields=fields)


def _remembered(past: tuple[PastEpoch, ...], now: float) -> tuple[PastEpoch, ...]:
    """Return the replaced epochs that a head still remembers: the newest ones that are not too old."""

    def seconds(epoch: PastEpoch) -> int:
        return REMEMBERED_PAGES_SECONDS if epoch.pages else REMEMBERED_EPOCH_SECONDS

    return tuple(epoch for epoch in past if epoch.at > now - seconds(epoch))[-MAX_REMEMBERED_EPOCHS:]


def rewritten_list(entries: Sequence[Entry]) -> Head:
    """Return the head of a new epoch that has only `entries` of a log, of which each append added one."""
    ids = recent_ids.EMPTY
    for entry in entries[-recent_ids.REMEMBERED_APPENDS :]:
        ids = recent_ids.add(ids, entry["turn_id"], 1)
    return Head(history=entries, epoch=new_epoch(), recent_ids=ids)


def with_field(head: Head, name: str, value: JSON) -> Head:
    """Return the head with one of its `fields` changed."""
    return replace(head, fields={**head.fields, name: value})


def tombstone(head: Head | None) -> Head:
    """Return the tombstone of a deleted log, or of one that never was.

    It keeps the epoch with its number of pages, and the replaced epochs that may still have pages.
    """
    if head is None:
        return Head(epoch=new_epoch(), deleted=True)
    with_pages = tuple(past for past in head.past_epochs if past.pages)
    return Head(epoch=head.epoch, announced=head.announced, past_epochs=with_pages, deleted=True)


def without_first_version_epochs(head: Head) -> Head:
    """Return the head without the epochs that this service's first version left to sweep."""
    return replace(head, first_version_epochs=())
