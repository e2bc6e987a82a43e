"""One process of a running system: started, paused, killed and started again. Its output goes to a file."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from harness.environment import clean_environment

READY_SECONDS = 60.0
"""How long a process may take until it serves: six Python processes start at once, perhaps on two cores."""

STOP_SECONDS = 15.0
"""How long a process may take to end before it is killed: a chat service finishes its running turns first."""

POLL_SECONDS = 0.02
"""Pause between two checks of a process. Short, because every start of a system waits for it."""

PROBE_SECONDS = 2.0
"""Timeout of one readiness request."""

LOG_TAIL_CHARS = 3_000
"""How much of a process's output is shown after a failure."""

_client = httpx.Client(trust_env=False, timeout=PROBE_SECONDS)


class StartError(Exception):
    """A process ended while it started, or did not serve in time. The message ends with its output."""


class Process:
    """A command that serves HTTP. It serves when a GET of the URL `ready` succeeds.

    All methods block. A coroutine calls `until_ready` and `stop` in a thread, as `ProcessGroup` does.
    """

    def __init__(self, command: Sequence[str], cwd: Path, env: Mapping[str, str], log: Path, ready: str) -> None:
        self.command = command
        self.log = log
        self._cwd = cwd
        self._env = env
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self._process is not None, f"not running: {self.command}"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process and return at once, before it serves."""
        assert not self.running, f"runs already: {self.command}"
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                cwd=self._cwd,
                env={**clean_environment(), **self._env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the tests or the bench only; they end what they started
            )

    def until_ready(self) -> None:
        """Wait until the process serves. Raises StartError when it ends or takes too long."""
        deadline = time.monotonic() + READY_SECONDS
        while not _succeeds(self._ready):
            if not self.running:
                raise StartError(f"ended while starting: {self.command}\n{self.tail()}")
            if time.monotonic() > deadline:
                raise StartError(f"not ready within {READY_SECONDS:.0f} s: {self.command}\n{self.tail()}")
            time.sleep(POLL_SECONDS)

    def kill(self) -> None:
        """Kill the process with SIGKILL and wait for its end."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        """Ask the process to end, and kill it if it does not end in time."""
        self.signal(signal.SIGTERM)
        self.wait()

    def pause(self) -> None:
        """Stop its execution: the kernel still accepts connections, and no request gets a response.

        The signal stops one thread first. On a busy machine others could go on for a time, so this waits for all.
        """
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Continue a paused process."""
        os.kill(self.pid, signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal if the process runs. A paused process is continued first, so that it can react."""
        if self._process is not None and self.running:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)

    def wait(self) -> None:
        """Wait for the end of the process. Kill it when that takes too long."""
        if self._process is None:
            return
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def tail(self) -> str:
        """Return the end of its output."""
        return self.log.read_text(errors="replace")[-LOG_TAIL_CHARS:] if self.log.exists() else ""


def _succeeds(url: str) -> bool:
    try:
        return _client.get(url).is_success
    except httpx.HTTPError:
        return False
