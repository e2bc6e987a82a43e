"""Prints the addresses of the services as soon as they are ready, and not before."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

from launcher.apps import App

POLL_SECONDS = 0.3
"""Pause between two questions whether the services are ready."""

SLOW_START_SECONDS = 20.0
"""After so long without being ready the reason is printed once. A start takes 3 to 8 seconds."""

REQUEST_SECONDS = 5.0
"""Timeout of one question. A service that cannot reach its store says so within 4."""

CHAT_FOLDER = "chat_service"

_opener = build_opener(ProxyHandler({}))
"""Opens URLs of this machine without the environment's proxy."""


class ReadyPrinter:
    """Asks the services' health until they are ready, in a thread. `logs` says where to look if that takes long."""

    def __init__(self, apps: Sequence[App], logs: str, show: Callable[[str], None] | None = None) -> None:
        self._apps = apps
        self._logs = logs
        self._show = show or _print
        self._stopped = threading.Event()

    def start(self) -> None:
        """Start to ask."""
        threading.Thread(target=self.run, daemon=True).start()

    def stop(self) -> None:
        """Print nothing from now on."""
        self._stopped.set()

    def run(self) -> None:
        """Print the addresses once all services are ready; print the reason once if that takes long."""
        waited = 0.0
        while (reason := self._not_ready()) is not None:
            if self._stopped.wait(POLL_SECONDS):
                return
            waited += POLL_SECONDS
            if waited >= SLOW_START_SECONDS > waited - POLL_SECONDS:
                self._show(f"\n  not ready yet: {reason}\n  {self._logs}\n")
        if not self._stopped.is_set():
            self._show(ready_text(self._apps))

    def _not_ready(self) -> str | None:
        for app in self._apps:
            url = f"{app.url}/health/ready"
            try:
                _opener.open(url, timeout=REQUEST_SECONDS).close()
            except HTTPError as error:
                return f"{url} responds {error.code}: {error.read(500).decode(errors='replace')}"
            except (URLError, OSError):
                return f"{url} does not respond"
        return None


def ready_text(apps: Sequence[App]) -> str:
    """Return what is printed when all services are ready."""
    urls = {app.folder: app.url for app in apps}
    chat = urls.pop(CHAT_FOLDER)
    memory = "".join(f"\n  memory   {url}/docs" for url in urls.values())
    return f"""
  ready
  chat     {chat}/docs{memory}
  try      curl -s {chat}/chat/ -H 'Content-Type: application/json' -d '{{"user_id": "junaid", "text": "Hello"}}'
  stop     Ctrl-C
"""


def _print(text: str) -> None:
    with contextlib.suppress(OSError):  # the terminal is gone
        print(text, flush=True)
