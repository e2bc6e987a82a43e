"""dapr.yaml as `dapr run -f` reads it."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

import yaml

from local_sidecar.state.values import Json

NAMES = ("dapr.yaml", "dapr.yml")
Table = dict[str, Json]


class RunFileError(Exception):
    """The file cannot be run; the text says why."""


@dataclass(frozen=True, slots=True)
class App:
    """One app of the file, paths absolute: what runs, where, with which environment."""

    app_id: str
    folder: Path
    command: list[str]
    app_port: int | None
    http_port: int
    resources: list[Path]
    environment: dict[str, str]


def read_run_file(given: Path) -> tuple[Path, list[App]]:
    """The file (a folder means the dapr.yaml in it) and its apps in order. Raises RunFileError."""
    file = next((given / name for name in NAMES if (given / name).exists()), given) if given.is_dir() else given
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise RunFileError(f"{given}: {' '.join(str(problem).split())}") from problem
    if not isinstance(content, dict) or not isinstance(content.get("apps"), list) or not content["apps"]:
        raise RunFileError(f"{file}: no list of apps")
    common = _table(content.get("common"), "common")
    folder = file.resolve().parent
    return file.resolve(), [_app(folder, common, _table(app, "apps")) for app in content["apps"]]


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
    paths = [*_list(table.get("resourcesPaths")), table.get("resourcesPath") or table.get("componentsPath")]
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
