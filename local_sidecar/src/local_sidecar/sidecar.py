"""One sidecar process: its parts are put together and served until a signal stops it."""

import asyncio
import os
import socket
import tempfile
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from local_sidecar.api import Api
from local_sidecar.invocation.invoker import Invoker
from local_sidecar.invocation.registry import Announcement, Instance, Registry
from local_sidecar.metadata import SidecarMetadata
from local_sidecar.state.routes import StateRoutes
from local_sidecar.state.store import Store, StoreError
from local_sidecar.state_components import StateComponent

HOST = "127.0.0.1"
KEEP_ALIVE_SECONDS = 3600
"""How long an idle connection stays open. Long, as clients reuse their connections after minutes."""
DRAIN_SECONDS = 5
"""Grace period for requests in flight when the sidecar is stopped."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command line."""

    app_id: str
    app_port: int | None
    http_port: int
    stores: list[StateComponent]
    state_path: Path


class StartError(Exception):
    """The sidecar cannot start. The text says what to do."""


class _Protocol(HttpToolsProtocol):
    """Sends the response of Go's server to bytes that are no HTTP request."""

    def send_400_response(self, msg: str) -> None:
        super().send_400_response("400 Bad Request")


class _Server(uvicorn.Server):
    """Leaves the registry at the first stop signal, before it drains, and then exits with code 0."""

    announcement: Announcement | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.announcement:
            self.announcement.withdraw()
        self.force_exit = self.should_exit  # a second signal
        self.should_exit = True


def registry_folder() -> Path:
    """The folder in which the sidecars of this user find each other. LOCAL_SIDECAR_REGISTRY separates groups of them.

    Raises StartError when another user owns the folder: that user could announce any app.
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
    except OSError as error:
        listener.close()
        raise StartError(f"port {port}: {error.strerror}; choose another one as --dapr-http-port") from error
    return listener


async def serve(options: Options) -> None:
    """Serve until SIGINT or SIGTERM. Raises StartError."""
    with ExitStack() as stack:
        try:
            stores = {
                store.component.name: stack.enter_context(
                    closing(Store(store.table(options.state_path), store.dialect))
                )
                for store in options.stores
            }
        except StoreError as error:
            raise StartError(f"state file {options.state_path}: {error}; choose another as --state-path") from error
        await _serve(options, StateRoutes(options.app_id, stores))


async def _serve(options: Options, state: StateRoutes) -> None:
    listener = listening_socket(options.http_port)
    root = registry_folder()
    own = Instance(options.app_id, options.http_port, options.app_port, os.environ.get("APP_API_TOKEN", ""))
    metadata = SidecarMetadata(options.app_id, options.app_port, options.stores)
    token = os.environ.get("DAPR_API_TOKEN", "")
    server = _Server(_configuration(Api(state, Invoker(own, Registry(root)), metadata, token)))
    server.announcement = announcement = Announcement(root, own)
    waiting = asyncio.create_task(metadata.wait_for_app())
    print(f"local-sidecar: {options.app_id} on http://{HOST}:{options.http_port}", flush=True)
    try:
        await server.serve(sockets=[listener])
    finally:
        announcement.withdraw()
        waiting.cancel()


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
