"""Child processes. Each leads a process group, which is stopped as a whole. None outlives the runner."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

STOP_SECONDS = 15.0
"""Grace period before a process group is killed. The chat service needs up to 12 s to finish its turns."""
CHUNK_BYTES = 64 * 1024
"""How much output is read at once."""
_PR_SET_PDEATHSIG = 1
"""Option of Linux's prctl: the signal that a process gets when its parent dies."""


class Child:
    """A running process. Its output is printed with its name before each line."""

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
        """Wait until it ends. Returns the exit code."""
        return await self._process.wait()

    def stop(self, number: signal.Signals) -> None:
        """Send a signal to the whole process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    async def finish(self) -> None:
        """Wait until it ends, then kill what is left of its process group."""
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
        write(b"".join(prefix + line + b"\n" for line in lines))


def write(output: bytes) -> None:
    """Print at once. If the terminal or the reader is gone, nothing is printed and the apps go on."""
    with contextlib.suppress(OSError):
        sys.stdout.buffer.write(output)
        sys.stdout.buffer.flush()


def _die_with_runner() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
