"""The files of the resources folders: which components this app has."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from local_sidecar.documents import Table, UnreadableFile, mapping_in, yaml_documents
from local_sidecar.secret_stores import SecretStore, environment_value

DEFAULT_VERSION = "v1"


class ResourcesError(Exception):
    """The resources cannot be used. The text says what to do."""


@dataclass(frozen=True, slots=True)
class Component:
    """A component as its file describes it. `secret_store` names the one from which `secretKeyRef` takes values."""

    name: str
    type: str
    version: str
    file: str
    items: tuple[Table, ...]
    secret_store: str

    def value(self, name: str, secret_stores: Mapping[str, SecretStore] = MappingProxyType({})) -> str | None:
        """The value of a metadata item, None when there is no such item. A reference to nothing is an empty value."""
        item = next((item for item in self.items if item.get("name") == name), None)
        if item is None:
            return None
        if reference := mapping_in(item, "secretKeyRef"):
            store = secret_stores.get(self.secret_store)
            secret = store.secret(str(reference.get("name"))) if store else {}
            return secret.get(str(reference.get("key") or reference.get("name")), "")
        if "value" not in item and "envRef" in item:
            return environment_value(str(item["envRef"]))
        return _text(item.get("value"))

    def source(self, name: str) -> str:
        """Where the value of a metadata item comes from, for a text to a person."""
        item = next((item for item in self.items if item.get("name") == name), {})
        if reference := mapping_in(item, "secretKeyRef"):
            return f"secretKeyRef {reference.get('name')} of the secret store {self.secret_store!r}"
        return f"envRef {item['envRef']}" if "envRef" in item else "value"


@dataclass(frozen=True, slots=True)
class Resources:
    """The components of one app, notes for the person who starts the sidecar, and the files that are for Dapr only."""

    components: list[Component] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    dapr_only: list[str] = field(default_factory=list)


def load_resources(folders: list[Path], app_id: str) -> Resources:
    """Read every YAML file of the folders, but not of folders in them.

    Raises ResourcesError when a folder is missing or two components have one name.
    """
    resources = Resources()
    for folder in folders:
        if not folder.is_dir():
            raise ResourcesError(f"resources folder {folder} does not exist: give an existing one as --resources-path")
        for file in sorted(folder.iterdir()):
            if file.suffix in (".yaml", ".yml"):
                _load_file(resources, file, app_id)
    return resources


def dapr_only_note(file: str) -> str:
    """Return what is printed about a file that only Dapr uses. It must not read like a fault."""
    return f"{file} is for Dapr; the local sidecar works without it"


def _load_file(resources: Resources, file: Path, app_id: str) -> None:
    for document in _documents(resources, file):
        kind, scopes = document.get("kind"), document.get("scopes")
        if kind == "Resiliency":
            resources.dapr_only.append(_shown(file))
        in_scope = not isinstance(scopes, list) or not scopes or app_id in scopes
        if kind == "Component" and in_scope:
            component = _component(document, file)
            for other in resources.components:
                if other.name == component.name:
                    files = f"{other.file} and {component.file}"
                    raise ResourcesError(f"two components are named {other.name} ({files}): load only one of them")
            resources.components.append(component)


def _documents(resources: Resources, file: Path) -> Iterator[Table]:
    """The mappings of a file. As in Dapr, a file that cannot be read is left out."""
    try:
        yield from (document for document in yaml_documents(file) if isinstance(document, dict))
    except UnreadableFile as error:
        resources.notes.append(f"{_shown(file)} is left out: {error}")


def _component(document: Table, file: Path) -> Component:
    spec, metadata = mapping_in(document, "spec"), mapping_in(document, "metadata")
    items = spec.get("metadata")
    return Component(
        name=_text(metadata.get("name")),
        type=_text(spec.get("type")),
        version=_text(spec.get("version")) or DEFAULT_VERSION,
        file=_shown(file),
        items=tuple(item for item in items if isinstance(item, dict)) if isinstance(items, list) else (),
        secret_store=_text(mapping_in(document, "auth").get("secretStore")),
    )


def _shown(file: Path) -> str:
    """A file with its folder, for a text to a person."""
    return f"{file.resolve().parent.name}/{file.name}"


def _text(value: object) -> str:
    return "" if value is None else str(value)
