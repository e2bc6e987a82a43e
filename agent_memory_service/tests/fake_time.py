"""An event loop with virtual time: a sleep ends as soon as nothing else can run, or when a test moves the time.

So code that backs off, waits for a deadline or sweeps later runs without waiting, and always in the same order.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import TypeVar

Result = TypeVar("Result")

MAX_WAIT_SECONDS = 10 * 86_400.0
"""Virtual seconds after which a task that still sleeps would never end."""
CLOCK_RESOLUTION_SECONDS = 1e-9
"""Seconds before its time at which a timer is due, as in asyncio."""


class IdleSelector(selectors.SelectSelector):
    """Never waits. It notifies the loop that it is idle, and how long it wanted to wait."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > CLOCK_RESOLUTION_SECONDS:
            self.loop.idle(timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes only while the loop is idle; with `stepped` it passes only in `pass_time`."""

    def __init__(self, stepped: bool = False) -> None:
        self.now = 0.0
        self.stepped = stepped
        self.next_timer: float | None = None
        selector = IdleSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    def idle(self, timeout: float | None) -> None:
        """Called if nothing is ready to run. The next timer is `timeout` seconds away (None: there is none)."""
        self.next_timer = timeout
        if self.stepped:
            self.stop()
        elif timeout is None:
            raise RuntimeError("every task waits for something that will never come")
        else:
            self.now += timeout

    def settle(self) -> None:
        """Run until every task waits for a call or a timer."""
        self.run_forever()

    def pass_time(self) -> bool:
        """Move the time to the next timer and settle. Returns False if there is no timer."""
        if self.next_timer is None or self.now > MAX_WAIT_SECONDS:
            return False
        self.now += self.next_timer
        self.settle()
        return True


STARTED_AT = 1_800_000_000.0
"""The time of day at which every virtual loop begins, in seconds since 1970."""


def now() -> float:
    """The time of day in a test: the loop's time, so that it passes with the loop."""
    try:
        return STARTED_AT + asyncio.get_running_loop().time()
    except RuntimeError:
        return STARTED_AT


async def skip(seconds: float) -> None:
    """Let time pass at once, as for a process that is stopped: what would have run in between runs after it."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.now += seconds
    await asyncio.sleep(0)


def run(work: Coroutine[None, None, Result]) -> Result:
    """Run `work` to its end in virtual time."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        finish(loop)


def finish(loop: VirtualLoop) -> None:
    """Cancel the remaining tasks and close the loop."""
    loop.stepped = False
    loop.run_until_complete(end_other_tasks())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


async def end_other_tasks() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
