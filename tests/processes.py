"""One process of a running system: started, killed, paused, started again, its output in a file."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx

READY_SECONDS = 60.0  # several Python processes start at once, perhaps on two cores
STOP_SECONDS = 15.0  # a chat service finishes its running turns first
POLL_SECONDS = 0.02
FOREIGN = ("APP_API_TOKEN", "DAPR_", "GEMINI_", "LLM_", "LOCAL_SIDECAR_", "OPENAI_")

_client = httpx.Client(trust_env=False, timeout=2.0)


class Process:
    """A command that serves HTTP; `ready` is the URL that gets a good answer once it does."""

    def __init__(self, command: Sequence[str], cwd: Path, env: Mapping[str, str], log: Path, ready: str) -> None:
        self.command = command
        self.log = log
        self._cwd = cwd
        self._env = env
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running process."""
        assert self._process is not None, f"not running: {self.command}"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it; it need not be ready yet."""
        assert not self.running, f"runs already: {self.command}"
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                cwd=self._cwd,
                env={**clean_environment(), **self._env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the tests alone, which then end what they started
            )

    def until_ready(self) -> None:
        """Wait until it serves. Fails with its output when it ends or takes too long."""
        deadline = time.monotonic() + READY_SECONDS
        while not answers(self._ready):
            assert self.running, f"ended while starting: {self.command}\n{self.log.read_text(errors='replace')}"
            assert time.monotonic() < deadline, f"not ready: {self.command}\n{self.log.read_text(errors='replace')}"
            time.sleep(POLL_SECONDS)

    def kill(self) -> None:
        """kill -9, and wait for the end."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end, and kill it if it does not in time."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Stop it in its tracks: connections are taken by the system, and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        if self.running:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def answers(url: str) -> bool:
    """Whether a GET gets a good answer now."""
    try:
        return _client.get(url).is_success
    except httpx.HTTPError:
        return False


def clean_environment() -> dict[str, str]:
    """The environment without what would send a process elsewhere: keys, tokens, addresses, proxies."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(FOREIGN) and "PROXY" not in name.upper()
    }


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 on which nothing listens now, all different."""
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in opened:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in opened]
