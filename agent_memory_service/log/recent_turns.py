"""Which turns a log has lately taken in: the last 128, those sealed away included, in a string of one length.

Each turn has a slot, a digest of its id and its number of entries, the newest at the end. Turns lie one behind
the other up to the end of the log, so the numbers of entries tell where each begins. The string is as long for
the first turn as for the millionth: what an append writes does not grow with the session.
"""

import hashlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass

REMEMBERED = 128
"""Turns; a repetition that comes later than that many turns is taken for a new turn."""
_DIGEST = 15
"""Characters, of 6 bits each: two of the 128 turns share a digest once in 10^23 appends."""
_SLOT = _DIGEST + 1
EMPTY = "." * (_SLOT * REMEMBERED)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a turn's entries are: `back` entries before the end of the log, `count` of them."""

    back: int
    count: int


def added(turns: str, turn_id: str, count: int) -> str:
    """The string after a turn of `count` entries (1 to 15)."""
    return turns[_SLOT:] + _digest(turn_id) + f"{count:x}"


def find(turns: str, turn_id: str) -> Place | None:
    """Where the entries of a turn are, or None for one that is not remembered."""
    digest = _digest(turn_id)
    at = turns.find(digest)
    while at > 0 and at % _SLOT:  # digits of two slots that happen to read alike
        at = turns.find(digest, at + 1)
    if at < 0:
        return None
    counts = [int(count, 16) for count in turns[at + _DIGEST :: _SLOT]]
    return Place(back=sum(counts), count=counts[0])


def _digest(turn_id: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(turn_id.encode()).digest())[:_DIGEST].decode()
