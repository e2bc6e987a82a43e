"""`local-sidecar run -f dapr.yaml`: runs every app with its sidecar, until one of them ends or a signal comes."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

from local_sidecar.components import ResourcesError, dapr_only_note, load_resources
from local_sidecar.multi_app.processes import Child, write
from local_sidecar.multi_app.run_file import App, RunFileError, read_run_file

HOST = "127.0.0.1"
SIDECAR_START_SECONDS = 15.0
"""How long a sidecar may take to listen."""
APP_START_SECONDS = 60.0
"""How long an app may take to listen. Long, as a first start compiles all imported modules."""
POLL_SECONDS = 0.05
"""Time between two attempts to connect to a port."""
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class RunFailed(Exception):
    """A process could not start, or ended. The text names it."""


def run_file(given: Path) -> int:
    """Run the apps of a file. Returns the exit code."""
    try:
        file, apps = read_run_file(given)
        _check_ports(apps)
        for file_name in _dapr_only(apps):
            write(f"local-sidecar: {dapr_only_note(file_name)}\n".encode())
        asyncio.run(_run(file, apps))
    except (ResourcesError, RunFileError, RunFailed) as error:
        print(f"local-sidecar: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def _dapr_only(apps: list[App]) -> list[str]:
    """The files that are for Dapr only, each once: apps share their folders. Raises ResourcesError."""
    return list(dict.fromkeys(file for app in apps for file in load_resources(app.resources, app.app_id).dapr_only))


async def _run(file: Path, apps: list[App]) -> None:
    """Run until a signal comes, then stop every child. Raises RunFailed."""
    children: list[Child] = []
    work = asyncio.create_task(_start_and_watch(file, apps, children))
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        write(b"local-sidecar: stopping\n")
    finally:
        for number in STOP_SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, _kill_all, children)
        # An app stops before its sidecar, and a caller before the app it calls, so that no response is lost.
        for child in reversed(children):
            child.stop(signal.SIGTERM)
            await child.finish()


def _kill_all(children: list[Child]) -> None:
    """Handle a second signal: stop without a grace period."""
    for child in children:
        child.stop(signal.SIGKILL)


async def _start_and_watch(file: Path, apps: list[App], children: list[Child]) -> None:
    for app in apps:
        sidecar = await _start(
            children, f"DAPR - {app.app_id}", _sidecar_command(file, app), Path.cwd(), _environment(app)
        )
        await _until_open(app.http_port, sidecar, SIDECAR_START_SECONDS, "--dapr-http-port")
        if app.command:
            process = await _start(children, f"APP - {app.app_id}", app.command, app.folder, _environment(app))
            if app.app_port:
                await _until_open(app.app_port, process, APP_START_SECONDS, "its appPort")
    ends = [asyncio.create_task(_fail_when_ended(child)) for child in children]
    try:
        await asyncio.gather(*ends)
    finally:
        for end in ends:
            end.cancel()


async def _start(
    children: list[Child], name: str, command: list[str], folder: Path, environment: dict[str, str]
) -> Child:
    try:
        child = await Child.start(name, command, folder, environment)
    except OSError as error:
        raise RunFailed(f"{name}: cannot start {command[0]} in {folder}: {error.strerror}") from error
    children.append(child)
    return child


def _sidecar_command(file: Path, app: App) -> list[str]:
    command = [sys.executable, "-m", "local_sidecar", "--app-id", app.app_id, "--dapr-http-port", str(app.http_port)]
    command += ["--started-by-run"]
    command += ["--app-port", str(app.app_port)] if app.app_port else []
    for folder in app.resources:
        command += ["--resources-path", str(folder)]
    default_state = file.parent / ".local" / "state.db"
    return [*command, "--state-path", os.environ.get("LOCAL_SIDECAR_STATE") or str(default_state)]


def _environment(app: App) -> dict[str, str]:
    """The environment that `dapr run` gives to an app. There is no gRPC here, so its port is 0."""
    ports = {"APP_ID": app.app_id, "DAPR_HTTP_PORT": str(app.http_port), "DAPR_GRPC_PORT": "0"}
    if app.app_port:
        ports["APP_PORT"] = str(app.app_port)
    return {**os.environ, **app.environment, **ports}


async def _fail_when_ended(child: Child) -> None:
    code = await child.ended()
    raise RunFailed(f"{child.name} ended (exit code {code}): stopping the others")


async def _until_open(port: int, child: Child, seconds: float, what: str) -> None:
    """Wait until a process listens. Raises RunFailed when it ends first or takes too long."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not _listens(port):
        if not child.running:
            raise RunFailed(f"{child.name} ended (exit code {await child.ended()}) before it was ready")
        if asyncio.get_running_loop().time() > deadline:
            raise RunFailed(f"{child.name} does not listen on port {port} after {seconds:.0f} s: check {what}")
        await asyncio.sleep(POLL_SECONDS)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _check_ports(apps: list[App]) -> None:
    """Raise RunFailed when a port that an app or a sidecar needs is in use."""
    for app in apps:
        for port in (app.http_port, app.app_port):
            if port and _listens(port):
                raise RunFailed(f"port {port}, which {app.app_id} needs, is in use: stop what listens there")
