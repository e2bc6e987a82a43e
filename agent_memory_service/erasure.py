"""Erasing everything that is stored of a user."""

import asyncio
from collections.abc import Sequence

from documents import Entry
from errors import StoreConflict
from keys import list_key, session_key
from log import page_plan
from log.page_plan import Head, Write
from log.paged_log import PagedLog
from log.sweeps import TOMBSTONE_TTL_SECONDS, Sweeper
from profiles import Profiles

SESSIONS_AT_ONCE = 8
"""Sessions of one user that are erased at the same time. It bounds the load that one erase puts on the store."""
MAX_WALKS = 10
"""Walks over a list before an erase gives up. Another walk is needed only if a session was added during the last."""


class _ListChanged(Exception):
    """A session was added to the list after the walk over it."""


class Erasure:
    """Erases users. A repeated erase finishes an interrupted one."""

    def __init__(self, log: PagedLog, sweeper: Sweeper, profiles: Profiles) -> None:
        self._log = log
        self._sweeper = sweeper
        self._profiles = profiles

    async def erase(self, user_id: str) -> None:
        """Erase the user's profile, sessions and list of sessions. Sessions without an owner are not the user's.

        What stays for a day are tombstones, which have ids and epochs only. Raises StoreConflict and StoreUnavailable;
        after either, repeat the erase.
        """
        await self._profiles.erase(user_id)
        for _ in range(MAX_WALKS):
            walked = await self._log.head(list_key(user_id))
            if walked is None:
                return
            tombstones = await self._erase_sessions(user_id, walked)
            try:
                closed = await self._close_list(user_id, walked)
            except _ListChanged:
                continue
            sweeps = [task for key, head in tombstones if (task := self._sweeper.sweep_later(key, head))]
            self._sweeper.sweep_later(list_key(user_id), closed, after=sweeps)
            return
        raise StoreConflict

    async def _erase_sessions(self, user_id: str, walked: Head) -> list[tuple[str, Head]]:
        """Erase the listed sessions. Returns the tombstones, each with its key."""
        keys = list(dict.fromkeys(session_key(entry["session_id"]) for entry in await self._listed(user_id, walked)))
        tombstones: list[tuple[str, Head]] = []
        for start in range(0, len(keys), SESSIONS_AT_ONCE):
            part = keys[start : start + SESSIONS_AT_ONCE]
            heads = await asyncio.gather(*(self._erase_session(user_id, key) for key in part))
            tombstones += [(key, head) for key, head in zip(part, heads, strict=True) if head and head.deleted]
        return tombstones

    async def _listed(self, user_id: str, walked: Head) -> Sequence[Entry]:
        """Return the entries of the list."""
        entries = await self._log.entries(list_key(user_id), walked, 0, walked.total)
        if entries is None and not walked.deleted:
            raise StoreConflict
        # A tombstone without its pages is being swept. That starts only after its sessions are finished.
        return entries or ()

    async def _erase_session(self, user_id: str, key: str) -> Head | None:
        """Write a tombstone over the session if it is the user's, and sweep it. Returns the head after that."""

        async def decide(head: Head | None) -> Write | None:
            if head is None:
                # A turn may have listed this session without having written its head yet. The tombstone stops it.
                return Write(Head(epoch=page_plan.new_epoch(), deleted=True), ttl_seconds=TOMBSTONE_TTL_SECONDS)
            if head.deleted:
                return None
            owner = head.fields.get("owner")
            if owner is None:
                # A turn of the user may be about to claim this session. The new etag makes it list the session again.
                return Write(head)
            return Write(page_plan.tombstone(head)) if owner == user_id else None

        head = await self._log.compare_and_swap(key, decide)
        if head is not None and head.deleted:
            await self._sweeper.sweep(key, head.retired_epochs)
        return head

    async def _close_list(self, user_id: str, walked: Head) -> Head:
        """Make the list a readable tombstone. Raises _ListChanged if a session was added after the walk."""

        async def decide(head: Head | None) -> Write | None:
            if head is None or head.deleted:
                return None
            if (head.epoch, head.total) != (walked.epoch, walked.total):
                raise _ListChanged
            return Write(page_plan.readable_tombstone(head))

        return await self._log.compare_and_swap(list_key(user_id), decide) or walked
