"""Erasing everything that is kept about a user, for real."""

import asyncio

from errors import StoreConflict
from log import page_plan
from log.page_plan import Head
from log.paged_log import PagedLog, Write
from log.sweeps import TOMBSTONE_TTL_SECONDS, Sweeper
from profiles import Profiles
from user_sessions import list_key, session_key

SESSIONS_AT_ONCE = 8
"""Sessions of one user erased side by side."""
WALKS = 10
"""Walks over a list to which new sessions come while it is erased, before the erase is given up for now."""


class _ListChanged(Exception):
    """Sessions were added since the list was walked."""


class Erasure:
    """Erases users. Repeating an erase finishes an interrupted one."""

    def __init__(self, log: PagedLog, sweeper: Sweeper, profiles: Profiles) -> None:
        self._log = log
        self._sweeper = sweeper
        self._profiles = profiles

    async def erase(self, user_id: str) -> None:
        """Erase the profile, the user's sessions with their pages, and the list of them.

        What is left are tombstones, ids and epochs only, for a day. Sessions without an owner are not the user's.
        Raises StoreUnavailable and StoreConflict: then repeat it.
        """
        await self._profiles.erase(user_id)
        for _ in range(WALKS):
            walked = await self._log.head(list_key(user_id))
            if walked is None:
                return
            erased = await self._erase_sessions(user_id, walked)
            try:
                closed = await self._close_list(user_id, walked)
            except _ListChanged:
                continue
            finishing = [task for key, head in erased if (task := self._sweeper.later(key, head))]
            self._sweeper.later(list_key(user_id), closed, after=finishing)
            return
        raise StoreConflict

    async def _erase_sessions(self, user_id: str, walked: Head) -> list[tuple[str, Head]]:
        """Erase each session listed. Returns the tombstones that are left, each with its key."""
        # A page missing from a list that is closed already: its sessions were finished before it was swept.
        entries = await self._log.entries(list_key(user_id), walked, 0, walked.total)
        if entries is None and not walked.deleted:
            raise StoreConflict
        keys = list(dict.fromkeys(session_key(entry["session_id"]) for entry in entries or ()))
        found: list[tuple[str, Head]] = []
        for at in range(0, len(keys), SESSIONS_AT_ONCE):
            part = keys[at : at + SESSIONS_AT_ONCE]
            heads = await asyncio.gather(*(self._erase_session(user_id, key) for key in part))
            found += [(key, head) for key, head in zip(part, heads, strict=True) if head is not None and head.deleted]
        return found

    async def _erase_session(self, user_id: str, key: str) -> Head | None:
        async def decide(head: Head | None) -> Write | None:
            if head is None:
                # A turn that listed this session and is still to write its head must find something there.
                return Write(Head(epoch=page_plan.new_epoch(), deleted=True), ttl_seconds=TOMBSTONE_TTL_SECONDS)
            if head.deleted:
                return None
            owner = head.fields.get("owner")
            if owner is None:
                # Not the user's, but perhaps about to be: a claim in flight must fail on the etag and list it again.
                return Write(head)
            return Write(page_plan.tombstone(head)) if owner == user_id else None

        head = await self._log.revise(key, decide)
        if head is not None and head.deleted:
            await self._sweeper.sweep(key, head.was)
        return head

    async def _close_list(self, user_id: str, walked: Head) -> Head:
        """Make the list a tombstone that still names the sessions, if none came since it was walked."""

        async def decide(head: Head | None) -> Write | None:
            if head is None or head.deleted:
                return None
            if (head.epoch, head.total) != (walked.epoch, walked.total):
                raise _ListChanged
            return Write(page_plan.closed(head))

        return await self._log.revise(list_key(user_id), decide) or walked
