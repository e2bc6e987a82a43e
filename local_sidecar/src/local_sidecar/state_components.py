"""The state stores of an app: how each behaves, and whether Dapr would encrypt its values."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from local_sidecar.components import Component, Resources, ResourcesError
from local_sidecar.secret_stores import SECRET_STORES, SecretStore
from local_sidecar.state.database import Table
from local_sidecar.state.dialects import DIALECTS, served_components
from local_sidecar.state.dialects.base import Dialect
from local_sidecar.state.encodings import GO_PRINT

ENCRYPTION_KEY = "primaryEncryptionKey"
ENCRYPTION_KEY_BYTES = (16, 24, 32)
"""The key sizes of AES, with which Dapr encrypts."""


@dataclass(frozen=True, slots=True)
class StateComponent:
    """A state store that is served."""

    component: Component
    dialect: Dialect
    encrypted: bool

    def table(self, state_file: Path) -> Table:
        """Where it keeps its items. Stores of different kinds or names share no table, except plain Redis ones."""
        name = f"{self.dialect.name}/{self.component.name}"
        name = f"{name}/encrypted" if self.encrypted else self.dialect.common_table or name
        folded = self.dialect.folded if self.dialect.folds_keys else None
        return Table(state_file if self.dialect.in_file else None, name, folded)


def state_components(resources: Resources) -> list[StateComponent]:
    """The state stores among the components; notes are added for components that are not served.

    Raises ResourcesError for a state store that is not served, and for an encryption key that cannot be used.
    """
    secret_stores: dict[str, SecretStore] = {}
    for component in resources.components:
        if kind := SECRET_STORES.get(component.type):
            try:
                secret_stores[component.name] = kind(component.value)
            except (OSError, ValueError) as error:
                raise ResourcesError(f"{component.file}: the secrets cannot be read: {error}") from error
        elif not component.type.startswith("state."):
            resources.notes.append(f"{component.file}: a component of type {component.type} is not served here")
    stores = [component for component in resources.components if component.type.startswith("state.")]
    return [_state_component(component, secret_stores, resources.notes) for component in stores]


def _state_component(
    component: Component, secret_stores: Mapping[str, SecretStore], notes: list[str]
) -> StateComponent:
    dialect = DIALECTS.get((component.type, component.version))
    if dialect is None:
        what = f"{component.type} of version {component.version}"
        raise ResourcesError(f"{component.file}: {what} is not served here, only {served_components()}")
    key = component.value(ENCRYPTION_KEY, secret_stores)
    if key is None:
        return StateComponent(component, dialect, encrypted=False)
    _check_key(component, key)
    notes.append(f"{component.file}: values come back as Dapr returns encrypted ones, but are kept unencrypted here")
    if not component.source(ENCRYPTION_KEY).startswith("secretKeyRef"):
        notes.append(f"{component.file}: Dapr itself takes {ENCRYPTION_KEY} from a secretKeyRef only")
    return StateComponent(component, replace(dialect, encoding=GO_PRINT), encrypted=True)


def _check_key(component: Component, key: str) -> None:
    """Raise ResourcesError for a key with which Dapr would not start."""
    if not key:
        source = component.source(ENCRYPTION_KEY)
        raise ResourcesError(f"{component.file}: {ENCRYPTION_KEY} is empty: its {source} gives nothing")
    try:
        size = len(bytes.fromhex(key))
    except ValueError:
        size = 0
    if size not in ENCRYPTION_KEY_BYTES:
        made_by = "`openssl rand -hex 32` makes one"
        raise ResourcesError(f"{component.file}: {ENCRYPTION_KEY} must be 16, 24 or 32 bytes in hexadecimal: {made_by}")
