"""How long a repeat of an append finds the recorded entries: by time, at any rate of appends.

The head remembers the last 128 ids. An id that slides out of it is written to a key of its own, which expires, unless
it is surely older than the window. The head's marks say how long the log was at what time, so an ordinary log, with
fewer appends in a window than the head remembers, writes no such key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

REPEAT_WINDOW_SECONDS = 15 * 60
"""How long a repeat surely finds the recorded entries, in seconds: far longer than any client's retries."""
MARK_SECONDS = 3 * 60
"""Least time between two marks, in seconds: a head has at most seven."""
SLACK_SECONDS = 60
"""What is added to the times of ids that slid out, in seconds: the clocks of replicas may differ by half of it."""
SPILL_TTL_SECONDS = REPEAT_WINDOW_SECONDS + 2 * SLACK_SECONDS
"""How long the key of an id that slid out lives, in seconds: longer than any head says that there are such keys."""


class Mark(NamedTuple):
    """A log had `total` entries at a time, in seconds since 1970.

    `is_past` relies on logs that only grow. An operation that shortens a log must drop the marks with a larger total.
    """

    at: int
    total: int


@dataclass(frozen=True, slots=True)
class Place:
    """The position of an append's entries in the log: the number of the first one, and how many there are."""

    first: int
    count: int


def marked(marks: Sequence[Mark], now: float, total: int) -> tuple[Mark, ...]:
    """Return the marks of a log that has `total` entries now: the newest one before the window, and those in it."""
    if not marks or now - marks[-1].at >= MARK_SECONDS:
        marks = [*marks, Mark(ceil(now), total)]
    window = now - REPEAT_WINDOW_SECONDS - SLACK_SECONDS
    old = [mark for mark in marks if mark.at <= window]
    return (*old[-1:], *(mark for mark in marks if mark.at > window))


def is_past(place: Place, marks: Sequence[Mark], now: float) -> bool:
    """Return whether the entries at a place are surely older than the window."""
    end = place.first + place.count
    return any(end <= mark.total for mark in marks if mark.at <= now - REPEAT_WINDOW_SECONDS - SLACK_SECONDS)


def spilled_until(now: float) -> int:
    """Return until when a head says that ids slid out of it, in seconds since 1970."""
    return ceil(now) + REPEAT_WINDOW_SECONDS + SLACK_SECONDS
