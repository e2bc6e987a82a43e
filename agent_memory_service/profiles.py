"""Users' profiles, the tutorial's documents under `user:{user_id}`. An empty one is the tombstone of an erased one."""

from collections.abc import Callable, Mapping

from dapr_state import ABSENT, FOREVER, DaprState
from documents import Document
from log.retry import Writers, until_written
from log.sweeps import TOMBSTONE_TTL_SECONDS


class Profiles:
    """The profiles of all users."""

    def __init__(self, state: DaprState) -> None:
        self._state = state
        self._writers = Writers()

    async def get(self, user_id: str) -> Document:
        """The profile, empty where there is none."""
        stored = await self._state.get(_key(user_id))
        return stored.value if stored else {}

    async def set(self, user_id: str, profile: Document) -> None:
        """Keep a profile in the place of what there is."""

        async def attempt() -> None:
            await self._state.save(_key(user_id), profile, None)

        await until_written(self._writers.of(user_id), attempt)

    async def change(self, user_id: str, changes: Mapping[str, str], default: Mapping[str, str]) -> Document:
        """Change some fields of the profile, or of the default one where there is none. Returns the whole."""

        def changed(profile: Document) -> Document:
            return {**(profile or default), **changes} if changes else profile

        return await self._revise(user_id, changed, FOREVER)

    async def erase(self, user_id: str) -> None:
        """Leave a tombstone in the profile's place, so that a change in flight finds another etag."""
        await self._revise(user_id, lambda _: {}, TOMBSTONE_TTL_SECONDS)

    async def _revise(self, user_id: str, change: Callable[[Document], Document], ttl_seconds: int) -> Document:
        async def attempt() -> Document:
            stored = await self._state.get(_key(user_id))
            before = stored.value if stored else {}
            after = change(before)
            if after != before:
                await self._state.save(_key(user_id), after, stored.etag if stored else ABSENT, ttl_seconds)
            return after

        return await until_written(self._writers.of(user_id), attempt)


def _key(user_id: str) -> str:
    return f"user:{user_id}"
