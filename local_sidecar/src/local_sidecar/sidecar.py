"""One sidecar process: its parts put together, served until it is told to stop."""

import asyncio
import os
import socket
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from local_sidecar.api import Api
from local_sidecar.components import Resources
from local_sidecar.invocation.invoker import Invoker
from local_sidecar.invocation.registry import Announcement, Instance, Registry
from local_sidecar.metadata import About
from local_sidecar.state.routes import StateApi
from local_sidecar.state.store import Store

HOST = "127.0.0.1"
KEEP_ALIVE_SECONDS = 3600  # clients keep their connections for minutes
DRAIN_SECONDS = 5  # for the calls in flight when told to stop


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    app_id: str
    app_port: int | None
    http_port: int
    resources: Resources
    state_path: Path


class StartError(Exception):
    """The sidecar cannot start; the text says what to do."""


class _Protocol(HttpToolsProtocol):
    """Says of bytes that are no request what Go's server says."""

    def send_400_response(self, msg: str) -> None:
        super().send_400_response("400 Bad Request")


class _Server(uvicorn.Server):
    """Is found no more from the moment it is told to stop, and then ends with code 0."""

    announcement: Announcement | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.announcement:
            self.announcement.withdraw()
        self.force_exit = self.should_exit  # told a second time
        self.should_exit = True


def registry_folder() -> Path:
    """Where the sidecars of this user find each other; LOCAL_SIDECAR_REGISTRY keeps groups of them apart.

    Raises StartError when it is another user's, who could then claim to be any app.
    """
    default = Path(tempfile.gettempdir()) / f"local-sidecar-{os.getuid()}"
    folder = Path(os.environ.get("LOCAL_SIDECAR_REGISTRY") or default)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise StartError(f"{folder} belongs to another user: name a folder of yours as LOCAL_SIDECAR_REGISTRY")
    return folder


def listening_socket(port: int) -> socket.socket:
    """A socket that accepts connections from this machine only. Raises StartError."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(1024)
    except OSError as problem:
        listener.close()
        raise StartError(f"port {port}: {problem.strerror}; choose another one as --dapr-http-port") from problem
    return listener


async def serve(options: Options) -> None:
    """Serve until SIGINT or SIGTERM. Raises StartError."""
    try:
        store = Store(options.state_path)
    except sqlite3.Error as problem:
        raise StartError(f"state file {options.state_path}: {problem}; choose another as --state-path") from problem
    try:
        await _serve(options, store)
    finally:
        store.close()


async def _serve(options: Options, store: Store) -> None:
    listener = listening_socket(options.http_port)
    root = registry_folder()
    own = Instance(options.app_id, options.http_port, options.app_port, os.environ.get("APP_API_TOKEN", ""))
    about = About(options.app_id, options.app_port, list(options.resources.stores.values()))
    state = StateApi(options.app_id, options.resources.stores, store)
    server = _Server(_configuration(Api(state, Invoker(own, Registry(root)), about, _api_token())))
    server.announcement = announcement = Announcement(root, own)
    waiting = asyncio.create_task(about.wait_for_app())
    print(f"local-sidecar: {options.app_id} on http://{HOST}:{options.http_port}", flush=True)
    try:
        await server.serve(sockets=[listener])
    finally:
        announcement.withdraw()
        waiting.cancel()


def _api_token() -> str:
    return os.environ.get("DAPR_API_TOKEN", "")


def _configuration(api: Api) -> uvicorn.Config:
    return uvicorn.Config(
        api,
        http=_Protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
