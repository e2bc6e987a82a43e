"""A copy of this repository, as a user has it after `make setup`, in which its own commands are started."""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.environment import clean_environment
from harness.paths import ROOT
from harness.processes import POLL_SECONDS, STOP_SECONDS
from launcher.apps import read_apps

PORTS = [port for app in read_apps() for port in (app.port, app.sidecar_port)]
"""The ports of `dapr.yaml` on which HTTP is served."""

MAKE_VARIABLES = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS")
"""What `make` passes on to the tests when it starts them; a `make` in the copy must not see it."""

NOT_COPIED = (".venv", ".git", ".local", ".env", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info", "build")
"""Patterns of what a fresh clone does not have. The virtual environment is linked instead."""


class Checkout:
    """The copy. Commands run with a new home folder; the variable HOME identifies every process they start."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "checkout"
        self.log = folder / "run.log"
        self.running: subprocess.Popen[bytes] | None = None
        shutil.copytree(ROOT, self.path, ignore=shutil.ignore_patterns(*NOT_COPIED))
        (self.path / ".venv").symlink_to(Path(sys.prefix))
        self._home = folder / "home"
        self._home.mkdir()

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a new login, also when the tests themselves were started by `make`."""
        own = {"HOME": str(self._home), "LOCAL_SIDECAR_REGISTRY": str(self._home / "registry")}
        kept = {name: value for name, value in clean_environment().items() if name not in MAKE_VARIABLES}
        return {**kept, **own}

    def start(self, *command: str) -> None:
        """Start a command as a terminal does: it leads a process group, and Ctrl-C reaches the whole group."""
        with self.log.open("ab") as output:
            self.running = self._popen(command, subprocess.DEVNULL, output.fileno())

    def start_in_terminal(self, *command: str) -> int:
        """Start a command in a new terminal. Returns the terminal's other side: closing it closes the terminal."""
        ours, theirs = os.openpty()
        self.running = self._popen(command, theirs, theirs, preexec_fn=_begin_in_terminal)
        os.close(theirs)
        return ours

    def _popen(
        self, command: Sequence[str], stdin: int, output: int, preexec_fn: Callable[[], object] | None = None
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            cwd=self.path,
            env=self.environment,
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=preexec_fn,
        )

    def interrupt(self) -> None:
        """Send Ctrl-C and wait until the command has ended."""
        assert self.running is not None
        os.killpg(self.running.pid, signal.SIGINT)
        self.running.wait(STOP_SECONDS)

    def left(self) -> list[int]:
        """Return the ids of processes that were started in the copy and still run. Without /proc it finds none."""
        mark = f"HOME={self._home}".encode()
        found = []
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in environ.read_bytes().split(b"\0"):
                    found.append(int(environ.parent.name))
            except OSError:
                continue  # the process has just ended, or belongs to another user
        return found

    def end(self) -> None:
        """Kill the processes that are left, by their ids, and wait until they are gone."""
        for pid in self.left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.running is not None:
            self.running.wait(STOP_SECONDS)
        deadline = time.monotonic() + STOP_SECONDS
        while self.left() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)


def busy_ports() -> list[int]:
    """Return the ports of the system on which something listens."""
    busy = []
    for port in PORTS:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                busy.append(port)
    return busy


def _begin_in_terminal() -> None:
    """Take the terminal, and SIGHUP as a shell's child has it: tests that `nohup` started ignore that signal."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
