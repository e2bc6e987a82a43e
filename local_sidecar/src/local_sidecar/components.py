"""The files of the resources folder: which state stores this app has, and what in them is left alone."""

from dataclasses import dataclass
from pathlib import Path

from local_sidecar.documents import Table, UnreadableFile, mapping_in, yaml_documents


class ResourcesError(Exception):
    """The resources folder cannot be used."""


@dataclass(frozen=True, slots=True)
class Component:
    """A component as its file describes it; `state.redis` and `v1` are passed on in the metadata."""

    name: str
    type: str
    version: str


@dataclass(frozen=True, slots=True)
class Resources:
    """The state stores by name, and what the person who starts the sidecar should know."""

    stores: dict[str, Component]
    notes: list[str]


def load_resources(folders: list[Path], app_id: str) -> Resources:
    """Read every YAML file of the folders. Raises ResourcesError when a folder is missing."""
    resources = Resources({}, [])
    for folder in folders:
        if not folder.is_dir():
            raise ResourcesError(f"resources folder {folder} does not exist: give an existing one as --resources-path")
        for file in sorted(folder.iterdir()):
            if file.suffix in (".yaml", ".yml"):
                _take_file(resources, file, app_id)
    return resources


def _take_file(resources: Resources, file: Path, app_id: str) -> None:
    try:
        for document in yaml_documents(file):
            if isinstance(document, dict):
                _take_document(resources, document, file, app_id)
    except UnreadableFile as error:
        resources.notes.append(f"{file.name} is left out: {error}")


def _take_document(resources: Resources, document: Table, file: Path, app_id: str) -> None:
    kind = document.get("kind")
    if kind == "Resiliency":
        resources.notes.append(f"{file.name}: resiliency policies are not honoured here, only by Dapr itself")
    if kind != "Component":
        return
    scopes = document.get("scopes")
    if isinstance(scopes, list) and scopes and app_id not in scopes:
        return
    name, spec = mapping_in(document, "metadata").get("name"), mapping_in(document, "spec")
    component = Component(str(name), str(spec.get("type")), str(spec.get("version")))
    if component.type.startswith("state."):
        resources.stores[component.name] = component
    else:
        resources.notes.append(f"{file.name}: a component of type {component.type} is not served here")
