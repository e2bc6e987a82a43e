"""Whether the service is ready: whether its store responds through the sidecar."""

import asyncio
import time

from dapr_state import DaprState
from errors import StoreUnavailable
from keys import HEALTH_PROBE_KEY

CACHED_SECONDS = 1.0
"""How long a result is used again, in seconds, so that frequent probes cost the store at most one read a second."""


class Readiness:
    """The readiness of the service, checked at most once in CACHED_SECONDS."""

    def __init__(self, state: DaprState) -> None:
        self._state = state
        self._lock = asyncio.Lock()
        self._failure: StoreUnavailable | None = None
        self._valid_until = 0.0

    async def check(self) -> None:
        """Raise StoreUnavailable if the store did not respond to the last probe."""
        async with self._lock:
            if time.monotonic() >= self._valid_until:
                self._failure = await self._probe()
                self._valid_until = time.monotonic() + CACHED_SECONDS
        if self._failure is not None:
            raise self._failure

    async def _probe(self) -> StoreUnavailable | None:
        try:
            await self._state.get(HEALTH_PROBE_KEY)
        except StoreUnavailable as failure:
            return failure
        return None
