"""Runs the command that runs everything else, and ends it when this process is asked to end."""

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from types import FrameType

from launcher.apps import ROOT
from launcher.checks import refuse
from launcher.ready import ReadyPrinter

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def supervise(command: list[str], environment: Mapping[str, str], printer: ReadyPrinter) -> int:
    """Run the command until it ends, with `environment` added to this one's. Returns its exit code.

    The command leads a process group, so that it gets each signal once: from here, as SIGTERM. A Ctrl-C of the terminal
    would reach a local sidecar twice, and `dapr run` not at all, as it leaves the terminal's process group itself.
    """
    child: subprocess.Popen[bytes] | None = None
    stopped = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        if child is not None:
            child.send_signal(signal.SIGTERM)

    for number in STOP_SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # `nohup` ignores SIGHUP: it stays so
            signal.signal(number, stop)
    child = _started(command, environment)
    if stopped:  # the signal came before there was a child
        child.send_signal(signal.SIGTERM)
    _watch_terminal()
    printer.start()
    try:
        code = child.wait()
    finally:
        printer.stop()
    return code if code >= 0 else 128 - code


def _started(command: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command, cwd=ROOT, env=os.environ | environment, stdin=subprocess.DEVNULL, process_group=0
        )
    except OSError as error:
        refuse(
            f"{command[0]} cannot be started: {error.strerror}. If this folder was moved or copied, its .venv does not "
            "work here: run rm -r .venv, then make setup"
        )


def _watch_terminal() -> None:
    """Treat the end of the terminal as SIGHUP, also when the system sends that signal to `make` only."""
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN and sys.stdin is not None and sys.stdin.isatty():
        threading.Thread(target=_hang_up_with, args=(sys.stdin.fileno(),), daemon=True).start()


def _hang_up_with(terminal: int) -> None:
    poll = select.poll()
    poll.register(terminal, 0)  # reports POLLHUP only
    poll.poll()
    os.kill(os.getpid(), signal.SIGHUP)
