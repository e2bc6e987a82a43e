"""Compaction of the lists of sessions: a list stays cheap to read after thousands of its sessions were deleted.

An entry is dead if its session has a tombstone, if another entry counts for the session, or if the session has not come
within a day. An activity mark is dead if the session has a newer one. A dead entry stays dead. This process remembers
those that it meets, and writes the list anew without them when they are many.
"""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime

import activity
import clock
from background_tasks import BackgroundTasks
from documents import Entry
from keys import list_key
from log import page_plan
from log.page_plan import Head, Write
from log.paged_log import PagedLog
from log.sweeps import TOMBSTONE_TTL_SECONDS, Sweeper

COMPACT_AFTER = 100
"""Dead entries of a list after which its compaction is tried, and again after as many more."""
LEAST_SHARE = 4
"""A list is written anew only if one in so many of its entries is dead: a long list is not copied for a few."""
MAX_KEPT_ENTRIES = 5_000
"""Entries of the longest list that is written anew: about 700 KB in one document."""
MAX_REMEMBERED = 20_000
"""Dead entries that this process remembers; it forgets all beyond that. Readers meet them again."""
LISTED_LATELY_SECONDS = TOMBSTONE_TTL_SECONDS
"""Age of an entry, in seconds, up to which a turn may be about to write its session."""


class ListCompactor:
    """Remembers dead entries, and removes them from their lists in the background."""

    def __init__(self, log: PagedLog, sweeper: Sweeper, background: BackgroundTasks) -> None:
        self._log = log
        self._sweeper = sweeper
        self._background = background
        self._dead: defaultdict[str, set[str]] = defaultdict(set)

    def note(self, user_id: str, dead: Collection[str]) -> None:
        """Remember dead entries of a user's list, by their ids. Starts a compaction when they are many."""
        if not dead:
            return
        if sum(map(len, self._dead.values())) > MAX_REMEMBERED:
            self._dead.clear()
        known = self._dead[user_id]
        before = len(known)
        known.update(dead)
        if len(known) // COMPACT_AFTER > before // COMPACT_AFTER:
            self._background.start(f"compaction {user_id}", self.compact(user_id))

    async def compact(self, user_id: str) -> None:
        """Write the list anew without the known dead entries, as long as that is worth it.

        Raises StoreConflict and StoreUnavailable.
        """
        while len(dead := frozenset(self._dead[user_id])) >= COMPACT_AFTER:
            if not await self._compact(user_id, dead):
                return
            self._dead[user_id] -= dead
        if not self._dead[user_id]:
            del self._dead[user_id]

    async def _compact(self, user_id: str, dead: Collection[str]) -> bool:
        """Write the list anew without these entries. Returns False if it is not worth it or the list has changed."""
        key = list_key(user_id)
        read = await self._log.head(key)
        if read is None or not _is_worth_it(read, len(dead)):
            return False
        entries = await self._log.entries(key, read, 0, read.total)
        kept = [entry for entry in entries or () if entry["turn_id"] not in dead]
        if entries is None or len(kept) > MAX_KEPT_ENTRIES:
            return False
        compacted = page_plan.rewritten_list(kept)
        retirement = self._sweeper.retirement(key)

        async def decide(head: Head | None) -> Write | None:
            if head is None or (head.deleted, head.epoch, head.total) != (False, read.epoch, read.total) or head.fields:
                return None
            await retirement.plan(head)
            return Write(compacted)

        written = await self._log.compare_and_swap(key, decide)
        return written is not None and written.epoch == compacted.epoch


def is_dead(entry: Entry, head: Head | None, user_id: str) -> bool:
    """Return whether an entry of a user's list will never count, given the head of its session."""
    if head is None:
        return not was_listed_lately(entry)
    owner, listed = head.fields.get("owner"), head.fields.get("listed")
    if head.deleted or owner not in (None, user_id):
        return True
    if owner is None:
        return False
    if activity.is_mark(entry):
        is_left = activity.named(head.fields) != entry["turn_id"] and not was_listed_lately(entry)
        return is_left or activity.is_overtaken(entry, head.fields)
    return listed != entry["turn_id"]


def was_listed_lately(entry: Entry) -> bool:
    """Return whether a turn may still be about to write the session of an entry."""
    return datetime.fromisoformat(entry["timestamp"]).timestamp() > clock.now() - LISTED_LATELY_SECONDS


def _is_worth_it(head: Head, dead: int) -> bool:
    """Return whether a list may be written anew. A list has fields only while an erase of its user is under way."""
    return not head.deleted and not head.fields and dead * LEAST_SHARE >= head.total
