"""The work that goes on beside the requests, and how it ends when the service stops."""

import asyncio
import logging
from collections.abc import Coroutine

LAST_WORDS_SECONDS = 2.0  # for what ended tasks have to tell: the callbacks of turns that were lost

log = logging.getLogger("chat_service.lifecycle")


class Background:
    """Tasks that outlive their request. When the service stops they get a stated time to finish."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._dispensable: set[asyncio.Task[None]] = set()
        self._stop: asyncio.Event | None = None
        self._ending: asyncio.Task[None] | None = None

    def start(self, work: Coroutine[None, None, None], *, is_dispensable: bool = False) -> None:
        """Run `work` in a task of its own; dispensable work is dropped at once when the service stops."""
        task = asyncio.create_task(work)
        kept = self._dispensable if is_dispensable else self._tasks
        kept.add(task)
        task.add_done_callback(kept.discard)

    @property
    def is_stopping(self) -> bool:
        """The service is about to stop: whatever is tried now is tried for the last time."""
        return self._stop is not None and self._stop.is_set()

    async def pause(self, seconds: float) -> None:
        """Wait between two attempts; not any longer once the service stops."""
        if self._stop is None:
            self._stop = asyncio.Event()
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return

    def begin_stop(self, limit_seconds: float) -> None:
        """From now on the running tasks have `limit_seconds`; called again it changes nothing."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end_all(limit_seconds))

    async def finish(self, limit_seconds: float) -> None:
        """Let the running tasks end within the limit, counted from when the stop began, then end them."""
        self.begin_stop(limit_seconds)
        if self._ending is not None:
            await self._ending
        await self._end_all(0.0)  # what came after that

    async def _end_all(self, limit_seconds: float) -> None:
        if self._stop is None:
            self._stop = asyncio.Event()
        self._stop.set()
        for task in self._dispensable:
            task.cancel()
        if self._tasks:
            log.info("stopping: waiting for %d running tasks", len(self._tasks))
        await self._until_idle(limit_seconds)
        if self._tasks:
            log.warning("stopped %d tasks that did not finish within %g s", len(self._tasks), limit_seconds)
            await self._end_now()
            await self._until_idle(LAST_WORDS_SECONDS)
        await self._end_now()

    async def _until_idle(self, limit_seconds: float) -> None:
        """Wait for the tasks and for those that they start in turn."""
        deadline = asyncio.get_running_loop().time() + limit_seconds
        while self._tasks and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(self._tasks, timeout=left)

    async def _end_now(self) -> None:
        ending = [*self._tasks, *self._dispensable]
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)
