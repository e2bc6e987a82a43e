"""The work that goes on beside the requests, and how it ends when the service stops."""

import asyncio
import logging
from collections.abc import Coroutine

log = logging.getLogger("chat_service.lifecycle")


class Background:
    """Tasks that outlive their request. When the service stops they get a stated time to finish."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._dispensable: set[asyncio.Task[None]] = set()
        self._stop: asyncio.Event | None = None

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

    async def finish(self, limit_seconds: float) -> None:
        """Let the running tasks end within the limit, then end them."""
        if self._stop is None:
            self._stop = asyncio.Event()
        self._stop.set()
        for task in self._dispensable:
            task.cancel()
        if self._tasks:
            log.info("stopping: waiting for %d running tasks", len(self._tasks))
        deadline = asyncio.get_running_loop().time() + limit_seconds
        while self._tasks and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(self._tasks, timeout=left)  # and for those that they start in turn
        if self._tasks:
            log.warning("stopped %d tasks that did not finish within %g s", len(self._tasks), limit_seconds)
        for task in self._tasks:
            task.cancel()
        ending = [*self._tasks, *self._dispensable]
        if ending:
            await asyncio.wait(ending)
