"""Every manifest is one that Kubernetes and Dapr take, is used, and is locked down."""

import json

import kubernetes_validate  # type: ignore[import-untyped]
import pytest

from tests.deploy.code_facts import SERVICES
from tests.deploy.dapr_resources import ANNOTATIONS, SHAPES
from tests.deploy.manifests import DEPLOY, OVERLAYS, Manifest, Overlay, annotations, containers, documents

KUBERNETES_VERSIONS = ("1.31", "1.37")
"""The oldest and the newest that docs/kubernetes.md names."""

services = pytest.mark.parametrize("service", SERVICES)


@pytest.mark.slow
@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_every_manifest_is_valid_for_kubernetes(version: str) -> None:
    """Kubernetes' own schemas take each manifest, and no field is unknown to them."""
    manifests = {json.dumps(manifest): manifest for name in OVERLAYS for manifest in Overlay(name).manifests}
    own = [manifest for manifest in manifests.values() if not manifest["apiVersion"].startswith("dapr.io/")]
    assert len(own) > 20
    for manifest in own:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_every_dapr_resource_has_its_shape(overlay: Overlay) -> None:
    """No field of Dapr's resources is misspelt or of another type."""
    dapr = [manifest for manifest in overlay.manifests if manifest["apiVersion"].startswith("dapr.io/")]
    assert {manifest["kind"] for manifest in dapr} == set(SHAPES)
    for manifest in dapr:
        SHAPES[manifest["kind"]].model_validate(manifest)


@services
def test_annotations_are_known_to_dapr(overlay: Overlay, service: str) -> None:
    """Dapr's injector passes over an annotation it does not know."""
    assert set(annotations(overlay.one("Deployment", service))) <= ANNOTATIONS


def test_names_are_unique(overlay: Overlay) -> None:
    """No manifest overwrites another."""
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in overlay.manifests]
    assert len(names) == len(set(names))


def test_every_file_is_used() -> None:
    """A manifest that no kustomization lists would never be applied."""
    for kustomization in DEPLOY.rglob("kustomization.yaml"):
        (listed,) = documents(kustomization)
        there = {path.name for path in kustomization.parent.glob("*.yaml")} - {kustomization.name}
        assert there == {name for name in listed["resources"] if name.endswith(".yaml")}, kustomization


def test_selectors_find_their_pods(overlay: Overlay) -> None:
    """Services, topology spread and network policies use labels that pods have."""
    labels = [workload["spec"]["template"]["metadata"]["labels"] for workload in overlay.workloads()]

    def finds(selector: Manifest) -> bool:
        return any(selector.items() <= pod.items() for pod in labels)

    for service in overlay.all("Service"):
        assert finds(service["spec"]["selector"]), service["metadata"]["name"]
    for policy in overlay.all("NetworkPolicy"):
        rules = [*policy["spec"].get("ingress", []), *policy["spec"].get("egress", [])]
        peers = [peer for rule in rules for peer in [*rule.get("from", []), *rule.get("to", [])]]
        chosen = [policy["spec"]["podSelector"], *(peer["podSelector"] for peer in peers if "podSelector" in peer)]
        for selector in chosen:
            assert finds(selector.get("matchLabels", {})), policy["metadata"]["name"]
    for deployment in overlay.all("Deployment"):
        for spread in deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]:
            assert spread["labelSelector"] == deployment["spec"]["selector"]


def test_containers_are_locked_down(overlay: Overlay) -> None:
    """No root, no new privileges, no capabilities, no writable root, no token of Kubernetes, a limit on memory."""
    for workload in overlay.workloads():
        pod = workload["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in containers(workload):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert {**pod["securityContext"], **context}["runAsUser"] > 0
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]


def test_images_are_set_by_the_overlay(overlay: Overlay) -> None:
    """A person changes two lines to name their own images."""
    (kustomization,) = documents(DEPLOY / "overlays" / overlay.name / "kustomization.yaml")
    assert {image["name"] for image in kustomization["images"]} == set(SERVICES)
    for image in kustomization["images"]:
        (container,) = containers(overlay.one("Deployment", image["name"]))
        assert container["image"] == f"{image['newName']}:{image['newTag']}"
