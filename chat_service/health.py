"""Whether the service can do its work: through its sidecar to the memory service, and from there to the store."""

import asyncio
import time

from errors import MemoryFailure
from memory_client import MemoryClient

CACHED_SECONDS = 1.0  # many may ask at once; the memory service need not be asked each time


class Readiness:
    """The memory service's readiness, asked for at most once per CACHED_SECONDS."""

    def __init__(self, memory: MemoryClient) -> None:
        self._memory = memory
        self._asked_at: float | None = None
        self._failure: str | None = None
        self._lock = asyncio.Lock()

    async def failure(self) -> str | None:
        """Why the service is not ready; None when it is."""
        async with self._lock:
            if self._asked_at is None or time.monotonic() - self._asked_at >= CACHED_SECONDS:
                self._failure = await self._ask()
                self._asked_at = time.monotonic()
            return self._failure

    async def _ask(self) -> str | None:
        try:
            await self._memory.check_ready()
        except MemoryFailure as failure:
            return failure.code
        return None
