"""What a paged log writes: pure functions from a head and new entries to documents.

A log is one head and its pages. The head has the newest entries; its write decides whether an append counts. A page has
older entries and is written once. docs/architecture.md explains why each step is safe.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, cast

from documents import JSON, Document, Entry
from keys import page_key
from log import recent_ids

PAGE_ENTRIES = 12
"""Entries of a page. Never change it for stored data: all writers of page n of an epoch must write the same entries.
The value is from the costs in docs/benchmarks.md."""
HEAD_MIN_ENTRIES = 20
"""Entries that stay in the head when it is sealed, so that one read returns the newest 20."""
TUTORIAL_EPOCH = "0"
"""The epoch of a document without one: the tutorial's code wrote it."""

_HEAD_FIELDS = {"history", "sealed", "epoch", "turns", "was", "deleted"}


class RetiredEpoch(NamedTuple):
    """An epoch that ended, and the most pages that it may have left in the store."""

    epoch: str
    pages: int


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a log.

    `history` has the newest entries; `sealed` counts the entries in pages. `retired_epochs` (stored as `was`) names the
    epochs whose pages are not swept yet. `recent_ids` (stored as `turns`) has the entry ids of the last appends. A
    `deleted` head is a tombstone. `fields` belong to the user of the log.
    """

    history: Sequence[Entry] = ()
    sealed: int = 0
    epoch: str = TUTORIAL_EPOCH
    recent_ids: str = recent_ids.EMPTY
    retired_epochs: tuple[RetiredEpoch, ...] = ()
    deleted: bool = False
    fields: Document = field(default_factory=dict)

    @property
    def total(self) -> int:
        """The number of entries in the log."""
        return self.sealed + len(self.history)

    @property
    def retired_with_own(self) -> tuple[RetiredEpoch, ...]:
        """The retired epochs of the head that ends this head's epoch.

        Another writer may have written pages from all of `history` and crashed, so these pages count too.
        """
        return (*self.retired_epochs, RetiredEpoch(self.epoch, self.total // PAGE_ENTRIES + 1))


@dataclass(frozen=True, slots=True)
class Write:
    """What one attempt writes: first the pages, then the head. Only the head's write decides."""

    head: Head
    pages: Sequence[tuple[str, Document]] = ()
    ttl_seconds: int | None = None


def new_epoch() -> str:
    """Return an epoch that no other attempt has."""
    return secrets.token_hex(8)


def parse(document: Document) -> Head:
    """Read a head from its document. A document of the tutorial's code is a head too."""
    return Head(
        history=cast(list[Entry], document.get("history") or []),
        sealed=cast(int, document.get("sealed", 0)),
        epoch=cast(str, document.get("epoch", TUTORIAL_EPOCH)),
        recent_ids=cast(str, document.get("turns", recent_ids.EMPTY)),
        retired_epochs=tuple(RetiredEpoch(*item) for item in cast(list[tuple[str, int]], document.get("was", []))),
        deleted=bool(document.get("deleted", False)),
        fields={name: value for name, value in document.items() if name not in _HEAD_FIELDS},
    )


def document(head: Head) -> Document:
    """Return the document of a head. The tutorial's code finds `history` where it expects it."""
    stored: Document = {
        **head.fields,
        "history": cast(list[JSON], list(head.history)),
        "sealed": head.sealed,
        "epoch": head.epoch,
    }
    if head.recent_ids != recent_ids.EMPTY:
        stored["turns"] = head.recent_ids
    if head.retired_epochs:
        stored["was"] = [[epoch, pages] for epoch, pages in head.retired_epochs]
    if head.deleted:
        stored["deleted"] = True
    return stored


def open_head(head: Head | None) -> Head:
    """Return the head to append to. A missing log and a tombstone start a new epoch."""
    if head is None or head.deleted:
        return Head(epoch=new_epoch(), retired_epochs=head.retired_epochs if head else ())
    return head


def with_entries(head: Head, entry_id: str, entries: Sequence[Entry], fields: Document) -> Head:
    """Return the head with the entries of one append added and with new `fields`."""
    ids = recent_ids.add(head.recent_ids, entry_id, len(entries))
    return replace(head, history=[*head.history, *entries], recent_ids=ids, fields=fields)


def sealing_write(key: str, head: Head) -> Write:
    """Return the write of a head that got new entries: full pages are moved out of it first."""
    pages = full_pages(head)
    return Write(without_pages(head, pages), oldest_pages(key, head, pages))


def full_pages(head: Head) -> int:
    """Return how many pages to move out of a head to which at most HEAD_MIN_ENTRIES entries were added.

    With that limit the pages have only entries that were in the head before: all writers of page n write the same.
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


def replacement(head: Head | None, entries: Sequence[Entry], fields: Document) -> Head:
    """Return the head of a new epoch that has all of `entries`. Later appends move them to pages."""
    retired = head.retired_with_own if head else ()
    return Head(history=entries, epoch=new_epoch(), retired_epochs=retired, fields=fields)


def with_field(head: Head, name: str, value: JSON) -> Head:
    """Return the head with one of its `fields` changed."""
    return replace(head, fields={**head.fields, name: value})


def tombstone(head: Head) -> Head:
    """Return the tombstone of a deleted log. It has the epochs to sweep and nothing else."""
    return Head(epoch=head.epoch, retired_epochs=head.retired_with_own, deleted=True)


def readable_tombstone(head: Head) -> Head:
    """Return a tombstone that has its entries until it is swept, so that an interrupted erase can read them again."""
    return replace(head, retired_epochs=head.retired_with_own, deleted=True)


def after_sweep(head: Head, swept: Sequence[RetiredEpoch]) -> Head:
    """Return the head without the epochs that were swept. A tombstone without any epoch left loses its content."""
    left = tuple(epoch for epoch in head.retired_epochs if epoch not in swept)
    if head.deleted and not left:
        return Head(epoch=head.epoch, deleted=True)
    return replace(head, retired_epochs=left)
