"""The entry ids that a log added recently, in a string of fixed length.

Each append has one slot: a digest of its entry id and its number of entries, the newest slot at the end. The entries
of the appends follow each other up to the end of the log, so the counts give the position of each append, also of
entries that were moved to pages. The string never grows: an append to a long log writes no more than the first one.

Positions are counted from the end of the log. An operation that removes entries at the end must remove their slots too.
"""

import hashlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass

REMEMBERED_APPENDS = 128
"""Appends that are remembered here. Younger ones than the window of repeats are kept elsewhere (repeat_window.py)."""
_DIGEST_CHARS = 15
"""Characters of a digest, of 6 bits each: two of 128 ids share a digest once in 10^23 appends."""
_SLOT_CHARS = _DIGEST_CHARS + 1
"""Characters of a slot: the digest and one hexadecimal digit for the number of entries."""
_EMPTY_CHAR = "."
EMPTY = _EMPTY_CHAR * (_SLOT_CHARS * REMEMBERED_APPENDS)
"""The string of a log without appends."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One remembered append: the digest of its id, and its entries: `count`, beginning `back` before the log's end."""

    digest: str
    back: int
    count: int


def add(recent_ids: str, entry_id: str, count: int) -> str:
    """Return the string after an append of `count` entries (1 to 15). The oldest slot is dropped."""
    return recent_ids[_SLOT_CHARS:] + digest(entry_id) + f"{count:x}"


def find(recent_ids: str, entry_id: str) -> Slot | None:
    """Return the slot of an id, None if the id is not remembered."""
    wanted = digest(entry_id)
    start = recent_ids.find(wanted)
    while start > 0 and start % _SLOT_CHARS:  # a match across the border of two slots is no match
        start = recent_ids.find(wanted, start + 1)
    return None if start < 0 else _slot(recent_ids, start)


def oldest(recent_ids: str, number: int) -> list[Slot]:
    """Return the slots that the next `number` appends drop. An empty slot is none."""
    starts = range(0, number * _SLOT_CHARS, _SLOT_CHARS)
    return [_slot(recent_ids, start) for start in starts if recent_ids[start] != _EMPTY_CHAR]


def digest(entry_id: str) -> str:
    """Return what stands for an id. The id itself is not stored."""
    return urlsafe_b64encode(hashlib.sha256(entry_id.encode()).digest())[:_DIGEST_CHARS].decode()


def _slot(recent_ids: str, start: int) -> Slot:
    counts = [int(count, 16) for count in recent_ids[start + _DIGEST_CHARS :: _SLOT_CHARS]]
    return Slot(recent_ids[start : start + _DIGEST_CHARS], sum(counts), counts[0])
