"""Users' profiles: the tutorial's documents. An empty document is the tombstone of an erased profile.

A profile document may also have the user's facts (fact_list.py), which the tutorial's code does not know.

Every write names the etag of the document it read. So a write that reaches the store late, after an erase, is refused.
A tombstone never expires: the next profile is written over it, and on Redis a late TTL would then remove that profile.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from dapr_state import DaprState
from documents import Document
from fact_list import facts_of, with_facts
from keys import user_key
from log.retry import KeyLocks, retry_until_written
from metrics import Metrics
from store_traits import ABSENT

Check: TypeAlias = Callable[[], Awaitable[None]]
"""Raises ServiceError if the change is refused. It is asked in each attempt, after the profile was read."""

TOMBSTONE: Document = {}
"""What an erased profile leaves. The tutorial's code reads it as no profile."""


def default_profile(user_id: str) -> Document:
    """Return the profile of a user who has not stored one: the tutorial's default."""
    return {"name": user_id, "preferred_style": "casual", "goal": "chat"}


class Profiles:
    """The profiles of all users."""

    def __init__(self, state: DaprState, metrics: Metrics) -> None:
        self._state = state
        self._locks = KeyLocks(metrics)

    async def get(self, user_id: str) -> Document:
        """Return the stored profile, empty if there is none. Raises StoreUnavailable."""
        stored = await self._state.get(user_key(user_id))
        return stored.value if stored else {}

    async def etag(self, user_id: str) -> str | None:
        """Return the etag of the stored profile, None if there is none. Raises StoreUnavailable."""
        stored = await self._state.get(user_key(user_id))
        return stored.etag if stored else None

    async def set(self, user_id: str, profile: Document) -> None:
        """Store a profile and overwrite the one before; the facts stay. Raises StoreConflict and StoreUnavailable."""
        await self.compare_and_swap(user_id, lambda before: with_facts(profile, facts_of(before)))

    async def change(self, user_id: str, changes: Mapping[str, str]) -> Document:
        """Change some fields of the profile, or of the default one, and return all of it.

        Without changes nothing is written. Raises StoreConflict and StoreUnavailable.
        """
        default = default_profile(user_id)

        def changed(profile: Document | None) -> Document | None:
            return {**(profile or default), **changes} if changes else profile

        return await self.compare_and_swap(user_id, changed) or default

    async def erase(self, user_id: str) -> None:
        """Write a tombstone over whatever is there, also over a tombstone: a write in flight then fails on the etag.

        Raises StoreConflict and StoreUnavailable.
        """
        await self._overwrite(user_id, lambda _before: TOMBSTONE)

    async def keep_facts(self, user_id: str, is_kept: Callable[[Document], bool]) -> None:
        """Write the profile with some of its facts, also if they are all: a write in flight then fails on the etag.

        What is the default profile without them is erased. Raises StoreConflict and StoreUnavailable.
        """

        def kept(profile: Document) -> Document:
            after = with_facts(profile, [fact for fact in facts_of(profile) if is_kept(fact)])
            return TOMBSTONE if after == default_profile(user_id) != profile else after

        await self._overwrite(user_id, kept)

    async def _overwrite(self, user_id: str, change: Callable[[Document], Document]) -> None:
        key = user_key(user_id)

        async def attempt() -> None:
            stored = await self._state.get(key)
            after = change(stored.value if stored else TOMBSTONE)
            await self._state.save(key, after, stored.etag if stored else ABSENT)

        await retry_until_written(self._locks.of(key), attempt)

    async def erase_unchanged(self, user_id: str, etag: str | None) -> None:
        """Erase the profile if it still has this etag; None: if there still is none.

        Raises StoreConflict and StoreUnavailable.
        """
        key = user_key(user_id)

        async def attempt() -> None:
            stored = await self._state.get(key)
            if (stored.etag if stored else None) == etag:
                await self._state.save(key, TOMBSTONE, etag or ABSENT)

        await retry_until_written(self._locks.of(key), attempt)

    async def compare_and_swap(
        self, user_id: str, change: Callable[[Document | None], Document | None], check: Check | None = None
    ) -> Document | None:
        """Write what `change` returns for the stored profile, and return it. Nothing is written if it is the same.

        Raises what `change` and `check` raise, StoreConflict and StoreUnavailable.
        """
        key = user_key(user_id)

        async def attempt() -> Document | None:
            stored = await self._state.get(key)
            if check is not None:
                await check()
            before = stored.value if stored else None
            after = change(before)
            if after is not None and after != before:
                await self._state.save(key, after, stored.etag if stored else ABSENT)
            return after

        return await retry_until_written(self._locks.of(key), attempt)
