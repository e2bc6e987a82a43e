"""The file `dapr.yaml`, read as `dapr run -f` reads it."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from local_sidecar.documents import Json, Table, UnreadableFile, yaml_documents

FILE_NAME = "dapr.yaml"


class RunFileError(Exception):
    """The file cannot be run. The text says why."""


@dataclass(frozen=True, slots=True)
class App:
    """One app of the file, with absolute paths: its command, folder, ports, resources and environment."""

    app_id: str
    folder: Path
    command: list[str]
    app_port: int | None
    http_port: int
    resources: list[Path]
    environment: dict[str, str]


def read_run_file(given: Path) -> tuple[Path, list[App]]:
    """The file and its apps in order. A folder means the dapr.yaml in it. Raises RunFileError."""
    file = given / FILE_NAME if given.is_dir() else given
    try:
        content = next(yaml_documents(file), None)
    except UnreadableFile as error:
        raise RunFileError(f"{given}: {error}") from error
    apps = content.get("apps") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(apps, list) or not apps:
        raise RunFileError(f"{file}: no list of apps")
    common = _table(content.get("common"), "common")
    folder = file.resolve().parent
    return file.resolve(), [_app(folder, common, _table(app, "apps")) for app in apps]


def _app(base: Path, common: Table, app: Table) -> App:
    folder = base / _text(app, "appDirPath")
    if not app.get("appDirPath") or not folder.is_dir():
        raise RunFileError(f"appDirPath {folder} is not a folder")
    app_id = _text(app, "appID") or folder.resolve().name
    return App(
        app_id,
        folder.resolve(),
        [str(word) for word in _list(app.get("command"))],
        _port(app, "appPort"),
        _port(app, "daprHTTPPort") or _free_port(),
        _resources(folder, app) or _resources(base, common),
        {**_environment(common), **_environment(app)},
    )


def _resources(base: Path, table: Table) -> list[Path]:
    paths = [*_list(table.get("resourcesPaths")), table.get("resourcesPath")]
    return [(base / os.path.expanduser(str(path))).resolve() for path in paths if path]


def _environment(table: Table) -> dict[str, str]:
    return {name: str(value) for name, value in _table(table.get("env"), "env").items()}


def _table(value: Json, name: str) -> Table:
    if value is not None and not isinstance(value, dict):
        raise RunFileError(f"{name}: a mapping belongs here, not {value!r}")
    return value or {}


def _list(value: Json) -> list[Json]:
    if value is not None and not isinstance(value, list):
        raise RunFileError(f"a list belongs where {value!r} stands")
    return value or []


def _text(table: Table, name: str) -> str:
    return str(table.get(name) or "")


def _port(table: Table, name: str) -> int | None:
    value = table.get(name)
    if value is not None and not isinstance(value, int):
        raise RunFileError(f"{name}: {value!r} is not a port")
    return value if value and value > 0 else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
