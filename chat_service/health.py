"""Whether the service can do its work: it reaches the memory service, and the memory service reaches its store."""

import asyncio
import time

from errors import MemoryFailure, MemoryNotReady
from memory_client import MemoryClient

CACHED_SECONDS = 1.0
"""Seconds for which a result is reused, so that frequent probes do not load the memory service."""


class Readiness:
    """The memory service's readiness, asked at most once per CACHED_SECONDS."""

    def __init__(self, memory: MemoryClient) -> None:
        self._memory = memory
        self._checked_at: float | None = None
        self._failure_code: str | None = None
        self._lock = asyncio.Lock()

    async def check(self) -> None:
        """Raises MemoryNotReady if the memory service was not ready at the last check."""
        async with self._lock:
            if self._checked_at is None or time.monotonic() - self._checked_at >= CACHED_SECONDS:
                self._failure_code = await self._ask()
                self._checked_at = time.monotonic()
        if self._failure_code is not None:
            raise MemoryNotReady(self._failure_code)

    async def _ask(self) -> str | None:
        try:
            await self._memory.check_ready()
        except MemoryFailure as failure:
            return failure.code
        return None
