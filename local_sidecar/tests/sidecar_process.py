"""Real processes for the tests: sidecars and a small app, started on free ports and stopped."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

START_SECONDS = 30.0
POLL_SECONDS = 0.02

COMPONENT = """
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: statestore}
spec: {type: state.redis, version: v1, metadata: []}
"""

APP = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = (os.environ.get("APP_NAME", "") + " " + self.headers.get("dapr-api-token", "")).strip().encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments): pass
print("ready on", sys.argv[1], flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """Dapr's error code."""
        return str(json.loads(self.body)["errorCode"])


def call(port: int, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Reply:
    """One request to 127.0.0.1."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request(method, path, None if body is None else json.dumps(body), dict(headers or {}))
        response = connection.getresponse()
        named = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, named, response.read())


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition. Fails when it takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(POLL_SECONDS)


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether something accepts connections on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class House:
    """A folder with a component, a registry of its own, and the processes started in it."""

    folder: Path
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "components").mkdir()
        (self.folder / "components" / "statestore.yaml").write_text(COMPONENT)
        (self.folder / "app.py").write_text(APP)

    @property
    def state(self) -> Path:
        """The state file."""
        return self.folder / "state" / "state.db"

    def start(self, command: list[str], **environment: str) -> subprocess.Popen[str]:
        """Start a command in the folder."""
        own = {"LOCAL_SIDECAR_REGISTRY": str(self.folder / "registry"), "PYTHONUNBUFFERED": "1", **environment}
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, **own},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.processes.append(process)
        return process

    def app(self, port: int = 0, **environment: str) -> tuple[int, subprocess.Popen[str]]:
        """Start the app; its port."""
        port = port or free_port()
        process = self.start([sys.executable, "app.py", str(port)], **environment)
        until(lambda: listens(port))
        return port, process

    def sidecar(self, app_id: str, app_port: int | None = None, *more: str, **environment: str) -> "Sidecar":
        """Start a sidecar and wait until it answers."""
        port = free_port()
        command = [sys.executable, "-m", "local_sidecar", "--app-id", app_id, "--dapr-http-port", str(port)]
        command += ["--resources-path", "components", "--state-path", str(self.state)]
        command += [] if app_port is None else ["--app-port", str(app_port)]
        process = self.start([*command, *more], **environment)
        until(lambda: listens(port))
        return Sidecar(port, process)

    def stop(self) -> None:
        """End everything."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
            if process.stdout:
                process.stdout.close()


@dataclass(frozen=True)
class Sidecar:
    """A running sidecar."""

    port: int
    process: subprocess.Popen[str]

    def get(self, key: str) -> Reply:
        """Read a key."""
        return call(self.port, "GET", f"/v1.0/state/statestore/{key}")

    def save(self, *items: object) -> Reply:
        """Save entries."""
        return call(self.port, "POST", "/v1.0/state/statestore", list(items))

    def invoke(self, app_id: str) -> Reply:
        """Ask an app for its name."""
        return call(self.port, "GET", f"/v1.0/invoke/{app_id}/method/name")
