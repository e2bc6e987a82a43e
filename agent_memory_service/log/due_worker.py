"""The worker of the due list. Every replica runs one; a lease on a bucket keeps two of them from the same items."""

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import clock
from dapr_state import ValueUnreadable
from errors import ServiceError
from log.due_list import FIRST_SECONDS, MINUTE_SECONDS, DueItem, DueList
from metrics import DueOutcome, Metrics

PASS_SECONDS = 15.0
"""Mean time between two passes, in seconds: what is due begins within half a minute."""
LEASE_SECONDS = 120.0
"""How long a worker has a bucket for itself, in seconds. If it dies, another takes the bucket over after that."""
ITEMS_AT_ONCE = 4
"""Items that a worker works on at the same time. It bounds the load that sweeps put on the store."""
GRACE_MINUTES = 2
"""Minutes after which the buckets of a minute are final: clocks may differ, and a registration takes a moment."""
LATE_MINUTES = 60
"""Minutes after which the buckets of a minute are looked at once more: a write that was on its way may have reached the
store when its minute was done. What lands up to an hour late is done."""
MINUTES_AT_ONCE = 12
"""Minutes whose buckets are read at once: with 16 buckets each, that is one bulk read."""

logger = logging.getLogger("agent_memory_service.due")


@dataclass(frozen=True, slots=True)
class Later:
    """What is left of an item: the item to register, and the seconds after which it is due."""

    item: DueItem
    after_seconds: float


Handler: TypeAlias = Callable[[DueItem], Awaitable[Later | None]]
"""Does what an item says. It may be called again for the same item. Raises ServiceError if the item must be retried."""


class DueWorker:
    """Does what is due. `handlers` has the function for each kind of item."""

    def __init__(self, due: DueList, handlers: Mapping[str, Handler], metrics: Metrics) -> None:
        self._due = due
        self._handlers = handlers
        self._metrics = metrics
        self._done_minute: int | None = None
        self._looked_until = 0
        self._left: set[int] = set()
        """Of the minutes until `_looked_until`, those that have buckets left. So a bucket that stays for weeks, because
        it is damaged, costs a pass no more."""
        self._late: set[int] = set()
        """The same of the minutes that were looked at once more."""
        metrics.watch_due_lag(self.lag_seconds)

    def lag_seconds(self) -> float:
        """How long ago the oldest minute ended that has due items left, as far as this worker knows. 0: none has."""
        if self._done_minute is None:
            return 0.0
        final = int(clock.now()) // MINUTE_SECONDS - GRACE_MINUTES
        return float(max(0, final - self._done_minute) * MINUTE_SECONDS)

    async def run(self) -> None:
        """Run passes until the task is cancelled. The first one finishes what the last process left."""
        while True:
            try:
                await self.run_pass()
            except ServiceError as error:
                logger.warning("a pass over the due list failed, the next one tries again: %s", error.code)
            except Exception:
                logger.exception("a pass over the due list failed, the next one tries again")
            await asyncio.sleep(random.uniform(0.5, 1.5) * PASS_SECONDS)

    async def run_pass(self) -> None:
        """Work on every bucket that is due, the oldest first. Raises StoreConflict and StoreUnavailable."""
        now = int(clock.now()) // MINUTE_SECONDS
        final = now - GRACE_MINUTES
        done = await self._due.done_minute()
        if self._done_minute is None or done < self._done_minute:
            self._looked_until, self._left = done, set()
        self._done_minute = done
        first = max(done, self._looked_until) + 1
        left: set[int] = set()
        async for minute, key in self._filled([*sorted(self._left), *range(first, now + 1)]):
            if not await self._work(key):
                left.add(minute)
        late: set[int] = set()
        late_range = range(first - LATE_MINUTES, final + 1 - LATE_MINUTES)
        async for minute, key in self._filled([*sorted(self._late), *late_range]):
            if not await self._work(key):
                late.add(minute)
        self._late = late
        self._looked_until, self._left = final, {minute for minute in left if minute <= final}
        self._done_minute = min(self._left, default=final + 1) - 1
        await self._due.set_done_minute(self._done_minute)

    async def _filled(self, minutes: Sequence[int]) -> AsyncIterator[tuple[int, str]]:
        """Give the minute and the key of each bucket that exists."""
        for at in range(0, len(minutes), MINUTES_AT_ONCE):
            for place in await self._due.filled(minutes[at : at + MINUTES_AT_ONCE]):
                yield place

    async def _work(self, key: str) -> bool:
        """Work on a bucket. Returns whether it is done; if not, another worker has it, or its value is damaged."""
        try:
            items = await self._due.lease(key, LEASE_SECONDS)
        except ValueUnreadable:
            return False  # the list is behind until it is restored or deleted; what comes after it is done
        if items is None:
            return False
        limit = asyncio.Semaphore(ITEMS_AT_ONCE)
        failures: list[str] = []
        self._metrics.due_items_begun(len(items))

        async def do(item: DueItem) -> Later | None:
            outcome: DueOutcome = "failed"
            async with limit:
                try:
                    later = await self._handlers[item.kind](item)
                    outcome = "again" if later else "done"
                except ServiceError as error:
                    failures.append(error.code)
                    later = Later(item, FIRST_SECONDS)
                except KeyError:
                    failures.append(f"unknown kind {item.kind}")  # of a newer version: its replicas may do it
                    later = Later(item, FIRST_SECONDS)
                finally:
                    self._metrics.due_item_ended(item.kind, outcome)
            return later

        left = await asyncio.gather(*map(do, items))
        if failures:
            codes = ", ".join(sorted(set(failures)))
            logger.warning("%d of %d due items failed, due again in a minute: %s", len(failures), len(items), codes)
        await self._register([later for later in left if later is not None])
        await self._due.remove(key)
        return True

    async def _register(self, left: Sequence[Later]) -> None:
        by_time: defaultdict[float, list[DueItem]] = defaultdict(list)
        for later in left:
            by_time[later.after_seconds].append(later.item)
        for after_seconds, items in by_time.items():
            await self._due.register(items, after_seconds)
