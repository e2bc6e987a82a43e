"""Tasks that run beside the requests, and how they end when the service stops."""

import asyncio
import logging
from collections.abc import Coroutine

from unexpected_errors import described

CALLBACK_GRACE_SECONDS = 2.0
"""Grace period in seconds for cancelled turns to send their callbacks. Enough for one attempt to a fast receiver."""

logger = logging.getLogger("chat_service.lifecycle")


class BackgroundTasks:
    """Tasks that outlive their request. When the service stops they have a limited time to finish."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._dispensable: set[asyncio.Task[None]] = set()
        self._stop: asyncio.Event | None = None
        self._stopping: asyncio.Task[None] | None = None

    def start(self, work: Coroutine[None, None, None], *, is_dispensable: bool = False) -> None:
        """Run `work` in its own task. A dispensable task is cancelled as soon as the service stops.

        An exception of the task is reported without its text, and never reaches the event loop.
        """
        task = asyncio.create_task(_reported(work))
        tasks = self._dispensable if is_dispensable else self._tasks
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    @property
    def is_stopping(self) -> bool:
        """Whether the service is stopping. If so, an attempt that starts now is the last one."""
        return self._stop is not None and self._stop.is_set()

    async def pause(self, seconds: float) -> None:
        """Wait between two attempts. Returns early when the service stops."""
        if self._stop is None:
            self._stop = asyncio.Event()
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return

    def begin_stop(self, limit_seconds: float) -> None:
        """Start to stop: running tasks have `limit_seconds` to finish. A second call has no effect."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop_all(limit_seconds))

    async def finish(self, limit_seconds: float) -> None:
        """Wait until all tasks have ended. After `limit_seconds`, counted from begin_stop, cancel the rest."""
        self.begin_stop(limit_seconds)
        if self._stopping is not None:
            await self._stopping
        await self._stop_all(0.0)  # tasks that started during the stop

    async def _stop_all(self, limit_seconds: float) -> None:
        if self._stop is None:
            self._stop = asyncio.Event()
        self._stop.set()
        for task in self._dispensable:
            task.cancel()
        if self._tasks:
            logger.info("stopping: waiting for %d running tasks", len(self._tasks))
        await self._wait_until_idle(limit_seconds)
        if self._tasks:
            logger.warning("stopped %d tasks that did not finish within %g s", len(self._tasks), limit_seconds)
            await self._cancel_all()
            await self._wait_until_idle(CALLBACK_GRACE_SECONDS)
        await self._cancel_all()

    async def _wait_until_idle(self, limit_seconds: float) -> None:
        """Wait for the tasks and for the tasks that they start."""
        deadline = asyncio.get_running_loop().time() + limit_seconds
        while self._tasks and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(self._tasks, timeout=left)

    async def _cancel_all(self) -> None:
        tasks = [*self._tasks, *self._dispensable]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def _reported(work: Coroutine[None, None, None]) -> None:
    try:
        await work
    except Exception as error:  # noqa: BLE001 - whatever it is, asyncio would print its text
        logger.error("a background task failed: %s", described(error))  # noqa: TRY400 - a stack trace holds contents
