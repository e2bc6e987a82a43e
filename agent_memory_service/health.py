"""Whether the service can do its work: asked through its sidecar, of its store."""

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
        self._ready = False
        self._until = 0.0

    async def ready(self) -> bool:
        """Whether the store answers, as of at most a second ago."""
        if time.monotonic() >= self._until:
            self._ready = await self._ask()
            self._until = time.monotonic() + CACHED_SECONDS
        return self._ready

    async def _ask(self) -> bool:
        try:
            await self._state.get(PROBE_KEY)
        except StoreUnavailable:
            return False
        return True
