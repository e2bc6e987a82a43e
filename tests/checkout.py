"""A copy of this repository as a person has it after `make setup`, with its own state, started by its own commands."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from processes import POLL_SECONDS, STOP_SECONDS, clean_environment
from sidecars import ROOT

PORTS = (8010, 3500, 8001, 3501)
OF_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS")
NOT_COPIED = (".venv", ".git", ".local", ".env", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info", "build")


class Checkout:
    """The copy; what is started in it has an empty home, and an environment by which it can be found again."""

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
        """As of a login with an empty home, also where the tests themselves were started by `make`."""
        own = {"HOME": str(self._home), "LOCAL_SIDECAR_REGISTRY": str(self._home / "registry")}
        kept = {name: value for name, value in clean_environment().items() if name not in OF_MAKE}
        return {**kept, **own}

    def start(self, *command: str) -> None:
        """Start a command as a terminal does: leader of a group that Ctrl-C reaches as a whole."""
        with self.log.open("ab") as output:
            self.running = subprocess.Popen(
                command,
                cwd=self.path,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def interrupt(self) -> None:
        """Ctrl-C, and wait for the end of what was started."""
        assert self.running is not None
        os.killpg(self.running.pid, signal.SIGINT)
        self.running.wait(STOP_SECONDS)

    def left(self) -> list[int]:
        """The processes that were started in the copy and still run (none are found where there is no /proc)."""
        mark = f"HOME={self._home}".encode()
        found = []
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in environ.read_bytes().split(b"\0"):
                    found.append(int(environ.parent.name))
            except OSError:
                continue  # it has just ended, or is not ours
        return found

    def end(self) -> None:
        """End what is left, by its ids, and wait until it is gone."""
        for pid in self.left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.running is not None:
            self.running.wait(STOP_SECONDS)
        deadline = time.monotonic() + STOP_SECONDS
        while self.left() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)


def busy_ports() -> list[int]:
    """Those of the system's ports on which something listens."""
    busy = []
    for port in PORTS:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                busy.append(port)
    return busy
