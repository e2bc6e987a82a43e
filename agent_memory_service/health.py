"""Whether the service is ready: whether a write to its store would succeed."""

import asyncio
import secrets

from dapr_state import DaprState, EtagMismatch, WriteUncertain
from errors import ServiceError, StoreRefusesWrites, StoreUnavailable
from keys import HEALTH_PROBE_KEY, probe_key
from store_probe import StoreProbe
from store_traits import ABSENT

CACHED_SECONDS = 1.0
"""How long a result is used again, in seconds, so that frequent checks cost the store at most one read a second."""
WRITE_COUNTS_SECONDS = 30.0
"""How long a write of any request shows that writes succeed, in seconds. After that a check writes itself."""
TTL_SECONDS = 60
"""How long the key of such a write lives, in seconds, if it cannot be deleted."""


class Readiness:
    """The readiness of the service, checked at most once in CACHED_SECONDS."""

    def __init__(self, state: DaprState, probe: StoreProbe) -> None:
        self._state = state
        self._probe = probe
        self._lock = asyncio.Lock()
        self._failure: ServiceError | None = None
        self._valid_until = 0.0

    async def check(self) -> None:
        """Raise StoreUnavailable, StoreUnsuitable or StoreRefusesWrites if a write would fail."""
        async with self._lock:
            now = asyncio.get_running_loop().time
            if now() >= self._valid_until:
                self._failure = await self._result()
                self._valid_until = now() + CACHED_SECONDS
        if self._failure is not None:
            raise self._failure.with_traceback(None)

    async def _result(self) -> ServiceError | None:
        try:
            await self._probe.traits()
            await self._state.get(HEALTH_PROBE_KEY)
            if not self._state.wrote_within(WRITE_COUNTS_SECONDS):
                await self._write()
        except ServiceError as failure:
            return failure
        return None

    async def _write(self) -> None:
        """Create a small key and delete it. If the store refuses it, learn again: it may be another store by now."""
        if not await self._created():
            await self._probe.learn()
            await self._probe.traits()
            if not await self._created():
                raise StoreRefusesWrites

    async def _created(self) -> bool:
        key = probe_key(secrets.token_hex(8), "ready")
        try:
            await self._state.save(key, {}, ABSENT, TTL_SECONDS)
        except EtagMismatch:
            return False
        except WriteUncertain as error:
            if not error.refused:
                raise StoreUnavailable from error
            return False
        await self._state.delete(key)
        return True
