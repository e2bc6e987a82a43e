"""Whether the service can do its work: asked through its sidecar, of its store."""

import asyncio
import time

from dapr_state import DaprState
from errors import StoreUnavailable

CACHED_SECONDS = 1.0
"""How long an answer is given again, so that frequent probes cost the store nothing."""
PROBE_KEY = "health-probe"
"""Never written: Dapr's own health endpoint does not look at the store, a read does."""


class Readiness:
    """The answer to `/health/ready`."""

    def __init__(self, state: DaprState) -> None:
        self._state = state
        self._asking = asyncio.Lock()
        self._failure: StoreUnavailable | None = None
        self._until = 0.0

    async def check(self) -> None:
        """Raise StoreUnavailable where the store does not answer, as of at most a second ago."""
        async with self._asking:
            if time.monotonic() >= self._until:
                self._failure = await self._ask()
                self._until = time.monotonic() + CACHED_SECONDS
        if self._failure is not None:
            raise self._failure

    async def _ask(self) -> StoreUnavailable | None:
        try:
            await self._state.get(PROBE_KEY)
        except StoreUnavailable as failure:
            return failure
        return None
