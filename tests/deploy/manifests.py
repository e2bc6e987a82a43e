"""The manifests of an overlay, put together as kustomize does: resources, then the namespace, then the images."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
OVERLAYS = ("redis", "postgres")
CLUSTER_WIDE = {"Namespace"}
HANDLED = {"apiVersion", "kind", "namespace", "resources", "images"}
"""The fields of a kustomization that are put together here; another one would be passed over, so it is refused."""

Manifest = dict[str, Any]
"""One YAML document: its shape is checked against schemas, not by Python's types."""


class Overlay:
    """All manifests of one overlay."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.manifests = list(_built(DEPLOY / "overlays" / name))

    def all(self, kind: str) -> list[Manifest]:
        """The manifests of a kind."""
        return [manifest for manifest in self.manifests if manifest["kind"] == kind]

    def one(self, kind: str, name: str) -> Manifest:
        """The manifest of a kind and a name."""
        (found,) = [manifest for manifest in self.all(kind) if manifest["metadata"]["name"] == name]
        return found

    def workloads(self) -> list[Manifest]:
        """What runs pods."""
        return [*self.all("Deployment"), *self.all("StatefulSet")]


def documents(path: Path) -> list[Manifest]:
    """The YAML documents of a file."""
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


def containers(workload: Manifest) -> list[Manifest]:
    """The containers that a workload states itself; Dapr's injector adds the sidecar to them."""
    found: list[Manifest] = workload["spec"]["template"]["spec"]["containers"]
    return found


def environment(container: Manifest) -> dict[str, Manifest]:
    """The environment of a container by name."""
    return {variable["name"]: variable for variable in container.get("env", [])}


def annotations(deployment: Manifest) -> dict[str, str]:
    """The annotations of the pods, by their name after `dapr.io/`."""
    stated = deployment["spec"]["template"]["metadata"]["annotations"]
    return {name.removeprefix("dapr.io/"): value for name, value in stated.items() if name.startswith("dapr.io/")}


def _built(folder: Path) -> Iterator[Manifest]:
    (kustomization,) = documents(folder / "kustomization.yaml")
    assert set(kustomization) <= HANDLED, f"not put together by these tests: {set(kustomization) - HANDLED}"
    images = {image["name"]: f"{image['newName']}:{image['newTag']}" for image in kustomization.get("images", [])}
    for resource in kustomization["resources"]:
        path = (folder / resource).resolve()
        for manifest in _built(path) if path.is_dir() else documents(path):
            if manifest["kind"] not in CLUSTER_WIDE:
                manifest["metadata"]["namespace"] = kustomization["namespace"]
            _set_images(manifest, images)
            yield manifest


def _set_images(manifest: Manifest, images: dict[str, str]) -> None:
    if manifest["kind"] in {"Deployment", "StatefulSet"}:
        for container in containers(manifest):
            container["image"] = images.get(container["image"], container["image"])
