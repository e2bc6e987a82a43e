"""The entry ids that a log added recently, in a string of fixed length.

Each append has one slot: a digest of its entry id and its number of entries, the newest slot at the end. The entries
of the appends follow each other up to the end of the log, so the counts give the position of each append, also of
entries that were moved to pages. The string never grows: an append to a long log writes no more than the first one.
"""

import hashlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass

REMEMBERED_APPENDS = 128
"""Appends that are remembered. A repeat that comes after more appends than that is added again."""
_DIGEST_CHARS = 15
"""Characters of a digest, of 6 bits each: two of 128 ids share a digest once in 10^23 appends."""
_SLOT_CHARS = _DIGEST_CHARS + 1
"""Characters of a slot: the digest and one hexadecimal digit for the number of entries."""
EMPTY = "." * (_SLOT_CHARS * REMEMBERED_APPENDS)
"""The string of a log without appends."""


@dataclass(frozen=True, slots=True)
class Place:
    """The position of an append's entries: they begin `back` entries before the end of the log; there are `count`."""

    back: int
    count: int


def add(recent_ids: str, entry_id: str, count: int) -> str:
    """Return the string after an append of `count` entries (1 to 15). The oldest slot is dropped."""
    return recent_ids[_SLOT_CHARS:] + _digest(entry_id) + f"{count:x}"


def find(recent_ids: str, entry_id: str) -> Place | None:
    """Return the position of the entries with this id, None if the id is not remembered."""
    digest = _digest(entry_id)
    start = recent_ids.find(digest)
    while start > 0 and start % _SLOT_CHARS:  # a match across the border of two slots is no match
        start = recent_ids.find(digest, start + 1)
    if start < 0:
        return None
    counts = [int(count, 16) for count in recent_ids[start + _DIGEST_CHARS :: _SLOT_CHARS]]
    return Place(back=sum(counts), count=counts[0])


def _digest(entry_id: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(entry_id.encode()).digest())[:_DIGEST_CHARS].decode()
