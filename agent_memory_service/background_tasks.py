"""Background tasks: work that no request waits for. They end with the process."""

import asyncio
import logging
from collections.abc import Coroutine

from errors import ServiceError

logger = logging.getLogger("agent_memory_service.background")


class BackgroundTasks:
    """The running background tasks, by name."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, work: Coroutine[None, None, None]) -> None:
        """Start a task, unless one with this name runs."""
        if name in self._tasks:
            work.close()
            return
        task = asyncio.create_task(_logged(name, work), name=name)
        self._tasks[name] = task
        task.add_done_callback(lambda _: self._tasks.pop(name))

    async def close(self) -> None:
        """Cancel all tasks and wait until they have ended."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _logged(name: str, work: Coroutine[None, None, None]) -> None:
    try:
        await work
    except ServiceError as error:
        logger.warning("background task failed: %s %s", name.partition(" ")[0], error.code)
