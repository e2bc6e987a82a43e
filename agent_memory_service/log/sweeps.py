"""Sweeps: removing the pages of epochs that ended.

A delete and an erase sweep before they respond. More sweeps follow on a schedule of the due list, also if this process
dies: a write that was on its way may reach the store minutes later, and the next sweep removes it. A replace leaves all
sweeps to the schedule, so that reads that have begun still find their pages.
"""

from collections.abc import Callable, Iterable

from background_tasks import BackgroundTasks
from dapr_state import DaprState
from keys import page_key
from log import page_plan
from log.due_list import DueItem, DueList
from log.due_worker import Later
from log.page_plan import EpochPages, Head, Write
from log.paged_log import PagedLog

SWEEP = "sweep"
"""The kind of the due items of this module: remove the pages of one epoch of the log with the key `id`."""
SWEEP_AFTER_SECONDS = (60, 5 * 60, 15 * 60, 60 * 60)
"""When an ended epoch is swept again, in seconds after its end. What lands up to an hour late is removed."""
TOMBSTONE_TTL_SECONDS = 24 * 60 * 60
"""How long a session's tombstone lives, in seconds: far longer than any request in flight. Other tombstones stay: the
next data is written over them, and on Redis a TTL that is late would then remove it."""


def next_step(item: DueItem) -> Later | None:
    """Return the item with its next step, None after the last one."""
    if item.step + 1 == len(SWEEP_AFTER_SECONDS):
        return None
    pause = SWEEP_AFTER_SECONDS[item.step + 1] - SWEEP_AFTER_SECONDS[item.step]
    return Later(item._replace(step=item.step + 1), pause)


class Sweeper:
    """Removes the pages of ended epochs, now and on a schedule."""

    def __init__(self, state: DaprState, log: PagedLog, due: DueList, background: BackgroundTasks) -> None:
        self._state = state
        self._log = log
        self._due = due
        self._background = background

    def retirement(self, key: str) -> "Retirement":
        """Begin an operation that may end an epoch of the log."""
        return Retirement(key, self)

    async def schedule(self, key: str, epochs: Iterable[EpochPages]) -> None:
        """Put the sweeps of epochs on the due list. Call it before the write that ends them.

        Raises StoreConflict and StoreUnavailable.
        """
        items = [DueItem(SWEEP, key, 0, epoch, pages) for epoch, pages in epochs]
        await self._due.register(items, SWEEP_AFTER_SECONDS[0])

    async def sweep(self, key: str, epochs: Iterable[EpochPages]) -> None:
        """Remove all pages that the epochs may have. Raises StoreUnavailable."""
        await self._state.delete_all([page_key(key, epoch, n) for epoch, pages in epochs for n in range(pages)])

    async def free_space(self, key: str, may_delete: Callable[[Head], bool]) -> None:
        """Remove the pages of a log that is about to be deleted, because a full store refuses its tombstone.

        Until the log is deleted, a read of it is an error. Raises StoreUnavailable.
        """
        head = await self._log.head(key)
        if head is not None and not head.deleted and may_delete(head):
            await self.sweep(key, head.own_pages)

    async def work(self, item: DueItem) -> Later | None:
        """Do a sweep that is due, and return the next one. Raises StoreConflict and StoreUnavailable."""
        head = await self._log.head(item.id)
        if head is None or head.deleted or head.epoch != item.epoch:
            await self.sweep(item.id, [EpochPages(item.epoch, item.pages)])
        return next_step(item)

    def adopt(self, key: str, head: Head) -> None:
        """Schedule in the background what this service's first version left to sweep.

        For sessions, and for lists in use.
        """
        if head.first_version_epochs:
            self._background.start(f"adopt {key}", self._adopt(key))

    async def _adopt(self, key: str) -> None:
        retirement = self.retirement(key)

        async def decide(head: Head | None) -> Write | None:
            if head is None or not head.first_version_epochs:
                return None
            await retirement.plan(head)
            ttl_seconds = TOMBSTONE_TTL_SECONDS if head.deleted else None
            return Write(page_plan.without_first_version_epochs(head), ttl_seconds=ttl_seconds)

        await self._log.compare_and_swap(key, decide)


class Retirement:
    """What one operation does about the epochs that it ends.

    `plan` puts their sweeps on the due list, before the head is written. `sweep` removes their pages at once, after it.
    """

    def __init__(self, key: str, sweeper: Sweeper) -> None:
        self._key = key
        self._sweeper = sweeper
        self._planned: set[EpochPages] = set()

    async def plan(self, head: Head | None) -> None:
        """Schedule the sweeps of what ends with this head. An attempt calls it before it writes the next head."""
        if head is not None:
            ended = {*head.first_version_epochs, *(() if head.deleted else head.own_pages)} - self._planned
            await self._sweeper.schedule(self._key, ended)
            self._planned |= ended

    async def sweep(self, head: Head | None = None) -> None:
        """Remove the pages of what ended, and those that `head`, a tombstone, says may be there.

        Raises StoreUnavailable; the scheduled sweeps remain.
        """
        left = (*head.own_pages, *head.replaced_pages) if head else ()
        await self._sweeper.sweep(self._key, {*self._planned, *left})
