"""A group of processes that start and end together, for plain functions and for coroutines."""

import asyncio
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.paths import ROOT
from harness.processes import Process


class ProcessGroup:
    """Processes whose logs are in one folder. Leaving `with` or `async with` ends all of them.

    `start` blocks until everything serves. A coroutine awaits `start_async`, which keeps the event loop free: a proxy
    between two of the processes may run in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    def add(
        self, name: str, command: Sequence[str], *, ready: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None
    ) -> Process:
        """Add a process without starting it. `name` is for its log, `env` is added to the clean environment."""
        log = self.folder / f"{len(self.processes)}-{name}.log"
        self.processes.append(Process(command, cwd, env or {}, log, ready))
        return self.processes[-1]

    def start(self) -> None:
        """Start every process that does not run, and wait until all serve. Raises StartError."""
        self._start_all()
        self._until_ready()

    async def start_async(self) -> None:
        """Do what `start` does, and wait in a thread."""
        self._start_all()  # not in the thread: a task that is cancelled here must not leave a start behind
        await asyncio.to_thread(self._until_ready)

    def stop(self) -> None:
        """End every process: all are asked at once, newest first; those that do not end in time are killed."""
        for process in reversed(self.processes):
            process.signal(signal.SIGTERM)
        for process in reversed(self.processes):
            process.wait()

    def logs(self) -> str:
        """Return the ends of all output, for a failure report."""
        return "\n".join(f"--- {process.log.name}\n{process.tail()}" for process in self.processes)

    def _start_all(self) -> None:
        for process in self.processes:
            if not process.running:
                process.start()

    def _until_ready(self) -> None:
        for process in self.processes:
            process.until_ready()
