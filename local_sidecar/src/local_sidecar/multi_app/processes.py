"""Child processes whose end is certain: each in a group of its own, told to stop when the runner dies."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

STOP_SECONDS = 15.0  # for a graceful end before the group is killed; the chat service takes up to 12
PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux's prctl
CHUNK_BYTES = 64 * 1024


class Child:
    """A running process and the prefix before each line of its output."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process
        self._output = asyncio.create_task(self._print_output())

    @classmethod
    async def start(cls, name: str, command: list[str], folder: Path, environment: Mapping[str, str]) -> "Child":
        """Start a command in a folder. Raises OSError when it cannot be run."""
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_runner,
        )
        return cls(name, process)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    async def ended(self) -> int:
        """Wait for its end; the exit code."""
        return await self._process.wait()

    def stop(self, how: signal.Signals) -> None:
        """Signal the whole group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, how)

    async def finish(self) -> None:
        """Wait for the end, and make sure of it for everything in the group."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.ended(), STOP_SECONDS)
        self.stop(signal.SIGKILL)
        await self.ended()
        await self._output

    async def _print_output(self) -> None:
        assert self._process.stdout is not None
        rest = b""
        while chunk := await self._process.stdout.read(CHUNK_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            self._print(lines)
        self._print([rest] if rest else [])

    def _print(self, lines: list[bytes]) -> None:
        prefix = f"== {self.name} == ".encode()
        with contextlib.suppress(BrokenPipeError):  # nobody reads any more: the apps go on
            sys.stdout.buffer.write(b"".join(prefix + line + b"\n" for line in lines))
            sys.stdout.buffer.flush()


def _die_with_runner() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGTERM)
