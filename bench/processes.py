"""The child processes of a run: started with their output in files, waited for, and all ended with the run."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

READY_SECONDS = 40.0  # two cores start six Python processes at once
STOP_SECONDS = 8.0  # a service finishes its running turns first
POLL_SECONDS = 0.1
LOG_TAIL_LINES = 15
FOREIGN = ("APP_API_TOKEN", "DAPR_", "GEMINI_", "LLM_", "LOCAL_SIDECAR_", "OPENAI_")


class StartError(Exception):
    """A child ended or did not get ready in time; the message ends with its last output."""


@dataclass(frozen=True, slots=True)
class Child:
    """One started process, leader of its own group, and the file that its output goes to."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def tail(self) -> str:
        """The last lines of its output."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-LOG_TAIL_LINES:])

    def signal(self, number: signal.Signals) -> None:
        """Signal the child and what it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


@dataclass(slots=True)
class Processes:
    """A group of children; leaving its context ends those started in it, newest first. `folder` takes their logs."""

    folder: Path
    children: list[Child] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None) -> Child:
        """Start a command with `env` added to the environment."""
        log = self.folder / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**clean_environment(), **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C reaches the bench alone, which then ends them in order
            )
        child = Child(name, process, log)
        self.children.append(child)
        return child

    def stop(self) -> None:
        """End all children: asked first, then killed."""
        for child in reversed(self.children):
            child.signal(signal.SIGTERM)
        for child in self.children:
            try:
                child.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.signal(signal.SIGKILL)
                child.process.wait()
        self.children.clear()

    async def until(self, what: str, ready: Callable[[], Coroutine[None, None, bool]]) -> None:
        """Poll `ready` until it says so. Raises StartError when a child ends or the time is over."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                while not await ready():
                    self._check(what)
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            tails = "\n".join(f"--- {child.name}\n{child.tail()}" for child in self.children)
            raise StartError(f"{what} was not ready within {READY_SECONDS:.0f} s\n{tails}") from None

    def _check(self, what: str) -> None:
        for child in self.children:
            if child.process.poll() is not None:
                raise StartError(f"{what}: {child.name} ended with {child.process.returncode}\n{child.tail()}")


async def answers(client: aiohttp.ClientSession, url: str, status: int = 200) -> bool:
    """Whether a GET of the URL gets that status now."""
    try:
        async with client.get(url, timeout=aiohttp.ClientTimeout(total=3)) as response:
            return response.status == status
    except (aiohttp.ClientError, TimeoutError):
        return False


def clean_environment() -> dict[str, str]:
    """The environment without what would send a child elsewhere: keys, tokens, addresses, proxies."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(FOREIGN) and "PROXY" not in name.upper()
    }


def _is_foreign(name: str) -> bool:
    return name.startswith(FOREIGN) or name.endswith("_PROXY")


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nothing listens on now, all different."""
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in opened:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in opened]
