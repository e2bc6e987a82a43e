"""Erasing everything that is stored of a user.

An erase has five steps. It freezes the list of sessions: a field of the list says how many entries the erase is
about. It erases the profile, then the sessions of these entries. It removes facts of these sessions that came since the
profile was erased. It closes the list. What else is added after the freeze stays. The due list has the erase from the
beginning, so one that is interrupted anywhere after the freeze is finished.
"""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import cast

from activity import is_mark
from dapr_state import ValueUnreadable
from documents import JSON, Document, Entry
from errors import BodyTooLarge, StoreRefusesWrites
from keys import list_key, session_key
from list_compaction import was_listed_lately
from log import page_plan
from log.due_list import DueItem, DueList
from log.due_worker import Later
from log.page_plan import Head, Write
from log.paged_log import PagedLog
from log.sweeps import TOMBSTONE_TTL_SECONDS, Sweeper, next_step
from profiles import Profiles

ERASE = "erase"
"""The kind of the due items of this module: finish the erase of the user `id`."""
ERASING = "erasing"
"""The field of a frozen list: how many entries it had, the etag of the profile at that time, and a random token."""
ENTRIES_AT_ONCE = 96
"""Entries of a list that are read at once: eight pages."""
SESSIONS_AT_ONCE = 8
"""Sessions of one user that are erased at the same time. It bounds the load that one erase puts on the store."""


@dataclass(frozen=True, slots=True)
class FrozenList:
    """The list of a user as an erase found it. The erase is about its first `entries` entries."""

    head: Head
    entries: int
    mark: JSON


@dataclass(slots=True)
class _Outcome:
    """What came of the sessions of a list: the ids of those that are erased, and why others cannot be."""

    erased: set[JSON] = field(default_factory=set)
    unreadable: list[ValueUnreadable] = field(default_factory=list)


class Erasure:
    """Erases users."""

    def __init__(self, log: PagedLog, sweeper: Sweeper, profiles: Profiles, due: DueList) -> None:
        self._log = log
        self._sweeper = sweeper
        self._profiles = profiles
        self._due = due

    async def erase(self, user_id: str) -> None:
        """Erase the user's profile, sessions and list of sessions. Sessions without an owner are not the user's.

        What stays are tombstones, which have epochs and numbers only; those of sessions stay for a day. A store that is
        full has room for them after the pages are removed. Raises HistoryDamaged, StoreRefusesWrites, StoreConflict
        and StoreUnavailable; after the last two the erase is finished in the background.
        """
        try:
            await self._erase(user_id)
        except StoreRefusesWrites:
            await self._free_space(user_id)
            await self._erase(user_id)

    async def _erase(self, user_id: str) -> None:
        await self._due.register([DueItem(ERASE, user_id)])
        frozen = await self._freeze(user_id, await self._profiles.etag(user_id))
        await self._profiles.erase(user_id)
        await self._erase_frozen(user_id, frozen)

    async def _free_space(self, user_id: str) -> None:
        """Remove the pages of the user's sessions."""
        key = list_key(user_id)
        head = await self._log.head(key)
        for first in range(0, head.total if head else 0, ENTRIES_AT_ONCE):
            entries = await self._log.entries(key, cast(Head, head), first, first + ENTRIES_AT_ONCE) or ()
            keys = list({session_key(entry["session_id"]): None for entry in entries})
            for at in range(0, len(keys), SESSIONS_AT_ONCE):
                part = keys[at : at + SESSIONS_AT_ONCE]
                await asyncio.gather(*(self._sweeper.free_space(it, lambda head: _is_of(head, user_id)) for it in part))

    async def resume(self, item: DueItem) -> Later | None:
        """Finish an erase that was interrupted, also if its freeze reaches the store up to an hour late.

        A profile that was changed after the freeze stays. Raises HistoryDamaged, StoreConflict and StoreUnavailable.
        """
        head = await self._log.head(list_key(item.id))
        mark = head.fields.get(ERASING) if head else None
        if head is not None and isinstance(mark, dict):
            await self._profiles.erase_unchanged(item.id, cast(str | None, mark["profile"]))
            await self._erase_frozen(item.id, FrozenList(head, cast(int, mark["entries"]), mark))
        return next_step(item)

    async def _freeze(self, user_id: str, profile_etag: str | None) -> FrozenList:
        """Say in the list that all of its entries are being erased. An absent list becomes a tombstone."""
        token = secrets.token_hex(8)  # no other erase has this mark, so none ends this freeze

        async def decide(head: Head | None) -> Write | None:
            frozen = head or page_plan.tombstone(None)
            mark: Document = {"entries": frozen.total, "profile": profile_etag, "token": token}
            if frozen.fields.get(ERASING) == mark and not frozen.deleted:
                return None
            # Also over a tombstone with this mark: a first entry that is on its way is then refused.
            return Write(page_plan.with_field(frozen, ERASING, mark))

        head = cast(Head, await self._log.compare_and_swap(list_key(user_id), decide))
        return FrozenList(head, head.total, head.fields[ERASING])

    async def _erase_frozen(self, user_id: str, frozen: FrozenList) -> None:
        """Erase the sessions of a frozen list and close it.

        If another erase closes it meanwhile, that one has erased them: it was about these entries at least. A session
        whose head cannot be read keeps the list from being closed, and no other from being erased.
        """
        key = list_key(user_id)
        outcome = _Outcome()
        for first in range(0, frozen.entries, ENTRIES_AT_ONCE):
            entries = await self._log.entries(key, frozen.head, first, min(first + ENTRIES_AT_ONCE, frozen.entries))
            if entries is None:
                await self._log.newer_head(key, frozen.head)
                return
            for at in range(0, len(entries), SESSIONS_AT_ONCE):
                sessions: defaultdict[str, list[Entry]] = defaultdict(list)
                for entry in entries[at : at + SESSIONS_AT_ONCE]:
                    sessions[entry["session_id"]].append(entry)
                await asyncio.gather(*(self._erase_session(user_id, its, outcome) for its in sessions.values()))
        if outcome.unreadable:
            raise outcome.unreadable[0]
        # One may have found its session alive, and was written after the profile was erased.
        await self._profiles.keep_facts(user_id, lambda fact: fact.get("session_id") not in outcome.erased)
        await self._close(user_id, frozen, outcome.erased)

    async def _erase_session(self, user_id: str, entries: Sequence[Entry], outcome: _Outcome) -> None:
        """Write a tombstone over the session of these entries if it is the user's, and sweep it."""
        session_id = entries[-1]["session_id"]
        key = session_key(session_id)
        retirement = self._sweeper.retirement(key)

        async def decide(head: Head | None) -> Write | None:
            if head is None and not was_listed_lately(entries[-1]):
                return None  # its tombstone has expired
            if head is not None and not head.deleted:
                if head.fields.get("owner") not in (None, user_id):
                    return None
                if "owner" not in head.fields:
                    # A turn of the user may be about to claim this session. The new etag makes it list it again.
                    return page_plan.sealing_write(key, head, head)
                if head.fields.get("listed") not in (None, *(entry["turn_id"] for entry in entries)):
                    return None  # another entry counts for it: it may have begun after the freeze
            # A turn may have listed an absent session without having written its head yet. The tombstone stops it.
            # Also over a tombstone: the TTL of an attempt without a response may be missing.
            await retirement.plan(head)
            return Write(page_plan.tombstone(head), ttl_seconds=TOMBSTONE_TTL_SECONDS)

        try:
            head = await self._log.compare_and_swap(key, decide)
        except BodyTooLarge:  # a session without an owner, and no turn can claim it: that needs a larger document
            return
        except ValueUnreadable as error:
            outcome.unreadable.append(error)
            return
        if head is not None and head.deleted:
            outcome.erased.add(session_id)
            await retirement.sweep(head)

    async def _close(self, user_id: str, frozen: FrozenList, erased: Set[JSON]) -> None:
        """End the epoch of a frozen list: it becomes a tombstone, or a list of what was added after the freeze.

        A turn in flight may have marked a session as active that is erased: its mark goes too. Does nothing if another
        erase has closed the list, or has frozen it again.
        """
        key = list_key(user_id)
        retirement = self._sweeper.retirement(key)

        async def decide(head: Head | None) -> Write | None:
            if head is None or not _is_frozen(head, frozen):
                return None
            await retirement.plan(head)
            added: Sequence[Entry] | None = ()
            if not head.deleted:
                added = await self._log.entries(key, head, frozen.entries, head.total)
            if added is None:
                await self._log.newer_head(key, head)
                return None  # another erase has closed it
            added = [entry for entry in added if not (is_mark(entry) and entry["session_id"] in erased)]
            return Write(page_plan.rewritten_list(added) if added else page_plan.tombstone(head))

        await self._log.compare_and_swap(key, decide)
        await retirement.sweep()


def _is_frozen(head: Head, frozen: FrozenList) -> bool:
    """Whether a list has the mark of an erase. This service's first version drops the mark when it adds an entry."""
    if ERASING in head.fields:
        return head.fields[ERASING] == frozen.mark
    return head.epoch == frozen.head.epoch and not head.deleted


def _is_of(head: Head, user_id: str) -> bool:
    return head.fields.get("owner") == user_id
