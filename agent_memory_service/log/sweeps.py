"""Sweeps: removing the pages of epochs that ended.

The first sweep runs within the request that needs it. A second one runs later, in the background: a writer of the ended
epoch may still write a page after the first sweep. Until then the head keeps the name of the epoch, and a tombstone
gets no TTL.
"""

import asyncio
import logging
from collections.abc import Sequence

from dapr_state import DaprState
from errors import ServiceError
from keys import page_key
from log import page_plan
from log.page_plan import Head, RetiredEpoch, Write
from log.paged_log import Decide, PagedLog
from log.retry import LATEST_WRITE_SECONDS

TOMBSTONE_TTL_SECONDS = 24 * 60 * 60
"""How long a tombstone lives, in seconds: far longer than any request in flight."""
MAX_FAILURES = 20
"""Attempts before a sweep gives up (about a minute); a later request on the key resumes it."""

logger = logging.getLogger("agent_memory_service.sweeps")


class Sweeper:
    """Sweeps ended epochs, and finishes in the background what a replace, a delete or an erase left to be swept."""

    def __init__(self, state: DaprState, log: PagedLog) -> None:
        self._state = state
        self._log = log
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def sweep(self, key: str, epochs: Sequence[RetiredEpoch]) -> None:
        """Remove all pages that the epochs may have. Raises StoreUnavailable."""
        await self._state.delete_all([page_key(key, epoch, n) for epoch, pages in epochs for n in range(pages)])

    def sweep_later(self, key: str, head: Head, after: Sequence[asyncio.Task[None]] = ()) -> asyncio.Task[None] | None:
        """Start a background sweep of the head's retired epochs, unless the key has one. It waits for `after`.

        Returns the task, which runs until nothing is left to sweep; None if there is nothing to sweep.
        """
        if not head.retired_epochs:
            return None
        if key not in self._tasks:
            self._tasks[key] = asyncio.create_task(self._finish(key, head.retired_epochs, after))
        return self._tasks[key]

    async def close(self) -> None:
        """Cancel the background sweeps. A later request on an unswept key resumes them."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _finish(self, key: str, epochs: Sequence[RetiredEpoch], after: Sequence[asyncio.Task[None]]) -> None:
        """Sweep when no writer of the epochs can be left, and remove their names from the head."""
        try:
            await asyncio.gather(*after)
            failures = 0
            while epochs and failures < MAX_FAILURES:
                await asyncio.sleep(LATEST_WRITE_SECONDS)
                try:
                    await self.sweep(key, epochs)
                    head = await self._log.compare_and_swap(key, _without(epochs))
                    epochs = head.retired_epochs if head else ()
                except ServiceError as error:
                    failures += 1
                    logger.warning("sweep failed, will be retried: key=%s reason=%s", key, error.code)
        finally:
            del self._tasks[key]


def _without(swept: Sequence[RetiredEpoch]) -> Decide:
    """Remove swept epochs from a head. A tombstone gets its TTL when no epoch is left."""

    async def decide(head: Head | None) -> Write | None:
        if head is None or not set(swept) & set(head.retired_epochs):
            return None
        left = page_plan.after_sweep(head, swept)
        expires = left.deleted and not left.retired_epochs
        return Write(left, ttl_seconds=TOMBSTONE_TTL_SECONDS if expires else None)

    return decide
