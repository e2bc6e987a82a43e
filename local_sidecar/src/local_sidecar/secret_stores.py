"""Dapr's two local secret stores, from which components take passwords and keys."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from local_sidecar.documents import Json, Table

DEFAULT_SEPARATOR = ":"
MetadataValue = Callable[[str], str | None]
"""Gives the value of a component's metadata item by its name."""


class SecretStore(Protocol):
    """A source of secrets. A secret is a mapping: most have one entry, with the secret's own name."""

    def secret(self, name: str) -> Mapping[str, str]:
        """The entries of a secret, none for one that does not exist."""


class EnvironmentSecrets:
    """`secretstores.local.env`: environment variables. The tokens of Dapr are no secrets of components."""

    def __init__(self, value: MetadataValue) -> None:
        self._prefix = value("prefix") or ""

    def secret(self, name: str) -> Mapping[str, str]:
        """The variable of that name, after the prefix."""
        return {name: environment_value(self._prefix + name)}


class FileSecrets:
    """`secretstores.local.file`: a JSON file. Raises ValueError or OSError when it cannot be read."""

    def __init__(self, value: MetadataValue) -> None:
        content: Json = json.loads(Path(value("secretsFile") or "").read_text(encoding="utf-8"))
        separator = value("nestedSeparator") or DEFAULT_SEPARATOR
        multi_valued = (value("multiValued") or "").lower() == "true"
        secrets: Table = content if multi_valued and isinstance(content, dict) else {**_flat(content, "", separator)}
        self._secrets = {name: _flat(member, "", separator) or {name: str(member)} for name, member in secrets.items()}

    def secret(self, name: str) -> Mapping[str, str]:
        """The entries of a secret. A nested one has the names of its path, joined by the separator."""
        return self._secrets.get(name, {})


def environment_value(name: str) -> str:
    """An environment variable, empty when it is unset or one that Dapr hides from components."""
    hidden = name.upper() == "APP_API_TOKEN" or name.upper().startswith("DAPR_")
    return "" if hidden else os.environ.get(name, "")


def _flat(value: Json, path: str, separator: str) -> dict[str, str]:
    """The texts below a value by their paths."""
    if isinstance(value, dict):
        members = list(value.items())
    elif isinstance(value, list):
        members = [(str(place), member) for place, member in enumerate(value)]
    else:
        return {path: str(value)} if path else {}
    found: dict[str, str] = {}
    for name, member in members:
        found |= _flat(member, f"{path}{separator}{name}" if path else name, separator)
    return found


SECRET_STORES: dict[str, Callable[[MetadataValue], SecretStore]] = {
    "secretstores.local.env": EnvironmentSecrets,
    "secretstores.local.file": FileSecrets,
}
"""Secret stores by the type of a component."""
