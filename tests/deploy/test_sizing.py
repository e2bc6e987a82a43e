"""Requested CPU and the number of replicas follow from what a turn was measured to cost."""

import pytest

from tests.deploy.code_facts import SERVICES
from tests.deploy.manifests import ROOT, Overlay, annotations, containers

CHAT, MEMORY = SERVICES
KUBERNETES_DOC = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")

services = pytest.mark.parametrize("service", SERVICES)


CPU_MS_A_TURN = {CHAT: (6.4, 2.0), MEMORY: (3.3, 3.6)}
"""Measured on Dapr, of the service and of its sidecar: docs/kubernetes.md, "Sizing"."""
TURNS_A_SECOND = {CHAT: 50, MEMORY: 75}
"""What one replica is sized for."""
HIGHEST_USE = 0.7
"""Of the requested CPU, at that rate: the rest is for peaks."""


@services
def test_requested_cpu_follows_from_what_was_measured(overlay: Overlay, service: str) -> None:
    """At the rate a replica is sized for, it uses half to two thirds of what it requests."""
    deployment = overlay.one("Deployment", service)
    requests = (
        containers(deployment)[0]["resources"]["requests"]["cpu"],
        annotations(deployment)["sidecar-cpu-request"],
    )
    for request, milliseconds in zip(requests, CPU_MS_A_TURN[service], strict=True):
        used = TURNS_A_SECOND[service] * milliseconds
        assert 0.5 <= used / int(request.removesuffix("m")) <= HIGHEST_USE
        assert f"| {milliseconds} |" in KUBERNETES_DOC


def test_the_autoscaler_watches_the_chat_service_and_stays_within_the_memorys_reach(overlay: Overlay) -> None:
    """It scales by the service's own CPU, up to what the memory replicas carry."""
    scaler = overlay.one("HorizontalPodAutoscaler", CHAT)["spec"]
    deployment = overlay.one("Deployment", CHAT)
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": CHAT}
    assert "replicas" not in deployment["spec"]
    (metric,) = scaler["metrics"]
    assert metric["containerResource"]["container"] == containers(deployment)[0]["name"]
    carried = overlay.one("Deployment", MEMORY)["spec"]["replicas"] * TURNS_A_SECOND[MEMORY]
    assert scaler["minReplicas"] >= 2
    assert scaler["maxReplicas"] * TURNS_A_SECOND[CHAT] <= carried
