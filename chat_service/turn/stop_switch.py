"""Ends the model of a running turn when its user asks for it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

Result = TypeVar("Result")


class StopSwitch:
    """Decides once whether a turn was stopped or its model came to its end. What happens first counts."""

    def __init__(self) -> None:
        self._is_pressed = False
        self._work: asyncio.Task[object] | None = None

    def press(self) -> None:
        """Stop the model, or keep it from starting. No effect on a model that has ended."""
        self._is_pressed = True
        if self._work is not None:
            self._work.cancel()

    async def run(self, begin: Callable[[], Coroutine[None, None, Result]]) -> Result | None:
        """The result of the work that `begin` starts; None if it was stopped before its end."""
        if self._is_pressed:
            return None
        work = asyncio.create_task(begin())
        self._work = work
        try:
            return await work
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._is_pressed or task is None or task.cancelling():
                raise
            return None
        finally:
            self._work = None
