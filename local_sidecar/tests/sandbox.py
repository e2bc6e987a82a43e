"""Real processes for the tests: sidecars and a small app, on free ports and in a folder of their own."""

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
"""How long a process may take to listen. Long, as the machine may be busy."""
POLL_SECONDS = 0.02
"""Time between two looks at a condition."""

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
class Response:
    """A response, its headers by their names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The error code of a sidecar."""
        return str(json.loads(self.body)["errorCode"])


def call(port: int, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Response:
    """Send one request to 127.0.0.1. The body is sent as JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request(method, path, None if body is None else json.dumps(body), dict(headers or {}))
        response = connection.getresponse()
        named = {name.lower(): value for name, value in response.getheaders()}
        return Response(response.status, named, response.read())


def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds. Fails when it takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
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


def state_component(kind: str, version: str = "v1", metadata: str = "", more: str = "") -> str:
    """The YAML document of a state store named `statestore`."""
    spec = f"spec: {{type: {kind}, version: {version}, metadata: [{metadata}]}}"
    return f"apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {{name: statestore}}\n{spec}\n{more}"


@dataclass
class Sandbox:
    """A folder with components, a registry of its own, and the processes started in it."""

    folder: Path
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "components").mkdir()
        self.write_component(state_component("state.redis"))
        (self.folder / "app.py").write_text(APP)

    def write_component(self, document: str, name: str = "statestore") -> None:
        """Put a document into the resources folder."""
        (self.folder / "components" / f"{name}.yaml").write_text(document)

    @property
    def state_file(self) -> Path:
        """The state file of the sidecars."""
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
        """Start the app. Returns its port and process."""
        port = port or free_port()
        process = self.start([sys.executable, "app.py", str(port)], **environment)
        until(lambda: listens(port))
        return port, process

    def sidecar(self, app_id: str, app_port: int | None = None, *more: str, **environment: str) -> "Sidecar":
        """Start a sidecar and wait until it listens."""
        port = free_port()
        command = [sys.executable, "-m", "local_sidecar", "--app-id", app_id, "--dapr-http-port", str(port)]
        command += ["--resources-path", "components", "--state-path", str(self.state_file)]
        command += [] if app_port is None else ["--app-port", str(app_port)]
        process = self.start([*command, *more], **environment)
        until(lambda: listens(port))
        return Sidecar(port, process)

    def stop(self) -> None:
        """End every process."""
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

    def get(self, key: str) -> Response:
        """Read a key."""
        return call(self.port, "GET", f"/v1.0/state/statestore/{key}")

    def save(self, *items: object) -> Response:
        """Save entries."""
        return call(self.port, "POST", "/v1.0/state/statestore", list(items))

    def bulk(self, *keys: str) -> Response:
        """Read several keys."""
        return call(self.port, "POST", "/v1.0/state/statestore/bulk", {"keys": list(keys)})

    def invoke(self, app_id: str) -> Response:
        """Ask an app for its name, through this sidecar."""
        return call(self.port, "GET", f"/v1.0/invoke/{app_id}/method/name")
