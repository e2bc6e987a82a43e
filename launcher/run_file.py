"""The run file that is given to Dapr or to the local sidecar: `dapr.yaml`, or a copy with other resources."""

from pathlib import Path
from typing import Any

import yaml

from launcher.apps import ROOT, RUN_FILE
from launcher.checks import refuse

COMPONENTS = "components"
"""The resources folder in `dapr.yaml`. A store's folder has the same files: its component, resiliency and config."""

WRITTEN_RUN_FILE = ROOT / ".dapr-run.yaml"
"""A copy of `dapr.yaml` with other resources, written at each start that needs one. Git ignores it."""

WRITTEN_CONFIG = ROOT / ".dapr-config.yaml"
"""A copy of a folder's config.yaml with another name resolution, for a machine without a network. Git ignores it."""

NAMES_FILE = ROOT / ".dapr-names.db"
"""Where Dapr's sidecars find each other without a network. Git ignores it."""

_INTERFACES = Path("/sys/class/net")
_UP_AND_MULTICAST = 0x1 | 0x1000
"""The flags IFF_UP and IFF_MULTICAST of Linux."""


def resources_folder(store: str | None) -> Path:
    """Return the folder of components that `store` names."""
    folder = ROOT / COMPONENTS / (store or "")
    if not (folder / "statestore.yaml").is_file():
        known = sorted(path.parent.name for path in (ROOT / COMPONENTS).glob("*/statestore.yaml"))
        refuse(f"there is no components/{store}/statestore.yaml. STORE can be: {', '.join(known) or 'nothing yet'}")
    return folder


def has_multicast(interfaces: Path = _INTERFACES) -> bool:
    """Return whether Dapr's sidecars can find each other by mDNS, their default.

    mDNS needs a network interface that is up and can multicast. On Linux the loopback interface cannot; on other
    systems it can, so the result is true there.
    """
    if not interfaces.is_dir():
        return True
    flags = [int(file.read_text(), base=16) for file in interfaces.glob("*/flags")]
    return any(each & _UP_AND_MULTICAST == _UP_AND_MULTICAST for each in flags)


def run_file(folder: Path, *, resolve_by_file: bool) -> Path:
    """Return the file to run with the components of `folder`.

    With `resolve_by_file` the sidecars find each other by a SQLite file instead of mDNS.
    """
    if folder == ROOT / COMPONENTS and not resolve_by_file:
        return RUN_FILE
    config = folder / "config.yaml"
    if resolve_by_file:
        _write(WRITTEN_CONFIG, _resolving_by_file(_read(config)))
        config = WRITTEN_CONFIG
    content = _read(RUN_FILE)
    content["common"] |= {"resourcesPath": str(folder), "configFilePath": str(config)}
    _write(WRITTEN_RUN_FILE, content)
    return WRITTEN_RUN_FILE


def _resolving_by_file(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration with name resolution by file.

    https://docs.dapr.io/reference/components-reference/supported-name-resolution/nr-sqlite/
    The cleanup is off: in Dapr 1.18 it deletes the entries of running sidecars, and these sidecars end then.
    """
    options = {"connectionString": str(NAMES_FILE), "cleanupInterval": "0s"}
    resolution = {"component": "sqlite", "version": "v1", "configuration": options}
    return {**config, "spec": {**config["spec"], "nameResolution": resolution}}


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return content


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
