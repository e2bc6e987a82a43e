"""Removing the pages of epochs that ended: at once where an answer depends on it, and again when no writer is left."""

import asyncio
import logging
from collections.abc import Sequence

from dapr_state import FOREVER, DaprState
from errors import ServiceError
from log import page_plan
from log.page_plan import Head
from log.paged_log import Decide, PagedLog, Write
from log.retry import LATEST_WRITE_SECONDS

TOMBSTONE_TTL_SECONDS = 24 * 60 * 60
"""A tombstone outlives every turn in flight by far."""

FAILURES_BORNE = 20
"""Of one sweep, a minute of a store that is down; then it is left to whoever meets what is unswept."""

logger = logging.getLogger(__name__)


class Sweeper:
    """Sweeps, and finishes in the background what a replace, a delete or an erase left to be swept.

    A writer of the ended epoch may still write a page after the first sweep. So the epoch stays named in the head, and
    a tombstone without a TTL, until a second sweep after the last moment such a writer has.
    """

    def __init__(self, state: DaprState, log: PagedLog) -> None:
        self._state = state
        self._log = log
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def sweep(self, key: str, was: Sequence[tuple[str, int]]) -> None:
        """Remove every page there may be of the epochs named."""
        pages = [page_plan.page_key(key, epoch, n) for epoch, count in was for n in range(count)]
        await self._state.delete_all(pages)

    def later(self, key: str, head: Head, after: Sequence[asyncio.Task[None]] = ()) -> asyncio.Task[None] | None:
        """Sweep what a head names when no writer of it can be left and `after` is done, then say so in the head.

        One task at a time for each key, which goes on until nothing is left; None where there is nothing to sweep.
        """
        if not head.was:
            return None
        if key not in self._tasks:
            self._tasks[key] = asyncio.create_task(self._finish(key, head.was, after))
        return self._tasks[key]

    async def close(self) -> None:
        """Stop what is under way; whoever meets an unswept tombstone finishes it."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _finish(self, key: str, was: Sequence[tuple[str, int]], after: Sequence[asyncio.Task[None]]) -> None:
        try:
            await asyncio.gather(*after)
            failures = 0
            while was and failures < FAILURES_BORNE:
                await asyncio.sleep(LATEST_WRITE_SECONDS)
                try:
                    await self.sweep(key, was)
                    head = await self._log.revise(key, _without(was))
                    was = head.was if head else ()
                except ServiceError as error:
                    failures += 1
                    logger.warning("sweep to be repeated key=%s reason=%s", key, error.code)
        finally:
            del self._tasks[key]


def _without(was: Sequence[tuple[str, int]]) -> Decide:
    """Take epochs that are swept out of a head, and give a tombstone its TTL when that was all."""

    async def decide(head: Head | None) -> Write | None:
        if head is None or not set(was) & set(head.was):
            return None
        left = page_plan.swept(head, was)
        return Write(left, ttl_seconds=TOMBSTONE_TTL_SECONDS if left.deleted and not left.was else FOREVER)

    return decide
