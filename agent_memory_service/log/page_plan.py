"""What a paged log writes: functions from a head and what is new to documents, knowing no wire.

A log is a head, which holds the newest entries and is the one document that decides, and pages, which
hold the older ones and are written once. docs/architecture.md explains why each step is safe.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from documents import JSON, Document, Entry
from log import recent_turns

PAGE = 12
"""Entries of a page. A constant: whoever writes page n of an epoch writes the same. Measured in docs/benchmarks.md."""
HEAD_KEEPS = 20
"""Entries that stay in the head when it is sealed, so that the newest 20 cost one read."""
TUTORIAL_EPOCH = "0"
"""The epoch of a document that names none: one the tutorial's code wrote."""


@dataclass(frozen=True, slots=True)
class Head:
    """The deciding document of a log. `history` holds the newest entries, `sealed` counts those in pages.

    `was` names epochs whose pages are still to be swept, and how many there may be. `deleted` makes it a
    tombstone. `fields` is what the log's owner keeps beside the entries.
    """

    history: Sequence[Entry] = ()
    sealed: int = 0
    epoch: str = TUTORIAL_EPOCH
    turns: str = recent_turns.EMPTY
    was: tuple[tuple[str, int], ...] = ()
    deleted: bool = False
    fields: Document = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many entries the log has."""
        return self.sealed + len(self.history)

    @property
    def possible_pages(self) -> int:
        """How many pages of this epoch there may be: a writer that died may have sealed all of the head."""
        return (self.sealed + len(self.history)) // PAGE + 1

    @property
    def ended(self) -> tuple[tuple[str, int], ...]:
        """`was` of a head that ends this one's epoch."""
        return (*self.was, (self.epoch, self.possible_pages))


def new_epoch() -> str:
    """An epoch no other attempt has."""
    return secrets.token_hex(8)


def parse(document: Document) -> Head:
    """The head in a document; one without an epoch is the tutorial's."""
    known = {"history", "sealed", "epoch", "turns", "was", "deleted"}
    return Head(
        history=cast(list[Entry], document.get("history") or []),
        sealed=cast(int, document.get("sealed", 0)),
        epoch=cast(str, document.get("epoch", TUTORIAL_EPOCH)),
        turns=cast(str, document.get("turns", recent_turns.EMPTY)),
        was=tuple((epoch, pages) for epoch, pages in cast(list[tuple[str, int]], document.get("was", []))),
        deleted=bool(document.get("deleted", False)),
        fields={name: value for name, value in document.items() if name not in known},
    )


def document(head: Head) -> Document:
    """The document that keeps a head; the tutorial's code finds `history` where it expects it."""
    kept: Document = {
        **head.fields,
        "history": cast(list[JSON], list(head.history)),
        "sealed": head.sealed,
        "epoch": head.epoch,
    }
    if head.turns != recent_turns.EMPTY:
        kept["turns"] = head.turns
    if head.was:
        kept["was"] = [[epoch, pages] for epoch, pages in head.was]
    if head.deleted:
        kept["deleted"] = True
    return kept


def page_key(key: str, epoch: str, page: int) -> str:
    """Where page `page` of an epoch is kept."""
    return f"{key}:{epoch}:{page}"


def begun(head: Head | None) -> Head:
    """The head to append to: absence and a tombstone begin an epoch."""
    if head is None or head.deleted:
        return Head(epoch=new_epoch(), was=head.was if head else ())
    return head


def grown(head: Head, turn_id: str, entries: Sequence[Entry], fields: Document) -> Head:
    """The head with a turn added, and with `fields`."""
    turns = recent_turns.added(head.turns, turn_id, len(entries))
    return replace(head, history=[*head.history, *entries], turns=turns, fields=fields)


def full_pages(head: Head) -> int:
    """How many pages to seal off a head that has grown by at most HEAD_KEEPS entries.

    Then these pages hold only entries that the head had before: whoever seals page n writes the same.
    """
    return max(0, -(-(len(head.history) - HEAD_KEEPS - PAGE) // PAGE))


def sealed_off(head: Head, pages: int) -> Head:
    """The head without its oldest `pages` pages."""
    return replace(head, history=head.history[pages * PAGE :], sealed=head.sealed + pages * PAGE)


def pages_of(key: str, head: Head, count: int) -> list[tuple[str, Document]]:
    """The oldest `count` pages in a head's history, each with its key."""
    first = head.sealed // PAGE
    return [
        (
            page_key(key, head.epoch, first + n),
            {"history": cast(list[JSON], list(head.history[n * PAGE : (n + 1) * PAGE]))},
        )
        for n in range(count)
    ]


def replaced(head: Head | None, entries: Sequence[Entry], fields: Document) -> Head:
    """The head of a new epoch that holds the whole of `entries`; later appends seal it."""
    return Head(history=entries, epoch=new_epoch(), was=head.ended if head else (), fields=fields)


def with_field(head: Head, name: str, value: JSON) -> Head:
    """The head with one of its owner's fields changed."""
    return replace(head, fields={**head.fields, name: value})


def tombstone(head: Head) -> Head:
    """What is left of a deleted log: the epochs to sweep."""
    return Head(epoch=head.epoch, was=head.ended, deleted=True)


def closed(head: Head) -> Head:
    """A tombstone that keeps the entries readable until it is swept: an erase walks them again if it must."""
    return replace(head, was=head.ended, deleted=True)


def swept(head: Head, was: Sequence[tuple[str, int]]) -> Head:
    """The head once the pages of `was` are gone; a tombstone with nothing left to sweep keeps nothing."""
    left = tuple(epoch for epoch in head.was if epoch not in was)
    if head.deleted and not left:
        return Head(epoch=head.epoch, deleted=True)
    return replace(head, was=left)
