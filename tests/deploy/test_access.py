"""Who may call whom, and with which secrets."""

import re
from collections.abc import Iterator

import pytest

from tests.deploy.code_facts import SERVICES, code_facts
from tests.deploy.manifests import ROOT, Overlay, annotations, containers, environment

CHAT, MEMORY = SERVICES
KUBERNETES_DOC = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")

services = pytest.mark.parametrize("service", SERVICES)


def secret_keys(overlay: Overlay) -> Iterator[tuple[str, str]]:
    """Every key of a Secret that the manifests read."""
    for workload in overlay.workloads():
        for container in containers(workload):
            for variable in environment(container).values():
                if "valueFrom" in variable:
                    reference = variable["valueFrom"]["secretKeyRef"]
                    yield reference["name"], reference["key"]
    for deployment in overlay.all("Deployment"):
        stated = annotations(deployment)
        yield from ((stated[name], "token") for name in stated if name.endswith("token-secret"))
    for component in overlay.all("Component"):
        for item in component["spec"]["metadata"]:
            if "secretKeyRef" in item:
                yield item["secretKeyRef"]["name"], item["secretKeyRef"]["key"]


def test_secrets_are_those_that_the_documentation_creates(overlay: Overlay) -> None:
    """docs/kubernetes.md has a command for each Secret and each key."""
    created = {
        (name, key)
        for name, rest in re.findall(r"create secret generic ([\w-]+)((?:[^\n]*\\\n)*[^\n]*)", KUBERNETES_DOC)
        for key in re.findall(r"--from-literal=[\"']?([\w-]+)=", rest)
    }
    assert set(secret_keys(overlay)) <= created


@services
def test_tokens_are_the_same_for_service_and_sidecar(overlay: Overlay, service: str) -> None:
    """The service sends its sidecar the token that it demands, and the memory service demands what Dapr sends."""
    deployment = overlay.one("Deployment", service)
    variables, stated = environment(containers(deployment)[0]), annotations(deployment)
    sent = variables["DAPR_API_TOKEN"]["valueFrom"]["secretKeyRef"]
    assert sent == {"name": stated["api-token-secret"], "key": "token"}
    if service == MEMORY:
        demanded = variables["APP_API_TOKEN"]["valueFrom"]["secretKeyRef"]
        assert demanded == {"name": stated["app-token-secret"], "key": "token"}


def test_only_the_chat_service_may_call_the_memory_service(overlay: Overlay) -> None:
    """Everything else is refused; the caller is named by app id, namespace and trust domain, and mTLS is on."""
    chat, memory = (overlay.one("Deployment", service) for service in (CHAT, MEMORY))
    callee = overlay.one("Configuration", annotations(memory)["config"])["spec"]
    caller = overlay.one("Configuration", annotations(chat)["config"])["spec"]
    assert callee["accessControl"]["defaultAction"] == "deny"
    assert callee["accessControl"]["policies"] == [
        {
            "appId": annotations(chat)["app-id"],
            "defaultAction": "allow",
            "trustDomain": caller["accessControl"]["trustDomain"],
            "namespace": chat["metadata"]["namespace"],
        }
    ]
    assert caller["accessControl"]["defaultAction"] == "deny"
    assert "policies" not in caller["accessControl"]
    assert callee["mtls"]["enabled"] is caller["mtls"]["enabled"] is True


def test_the_memory_service_is_reached_by_the_chat_service_alone(overlay: Overlay) -> None:
    """Everything is closed by default; the memory's pods are open to the chat's sidecar, and to Prometheus."""
    closed = overlay.one("NetworkPolicy", "deny-by-default")["spec"]
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    port = int(annotations(overlay.one("Deployment", MEMORY))["internal-grpc-port"])
    between = [{"protocol": "TCP", "port": port}]
    (allowed,) = overlay.one("NetworkPolicy", MEMORY)["spec"]["ingress"]
    chat_pods = {"podSelector": overlay.one("Deployment", CHAT)["spec"]["selector"]}
    assert allowed == {"from": [chat_pods], "ports": between}
    memory_pods = {"podSelector": overlay.one("Deployment", MEMORY)["spec"]["selector"]}
    chat = overlay.one("NetworkPolicy", CHAT)["spec"]
    assert {"to": [memory_pods], "ports": between} in chat["egress"]
    assert chat["ingress"] == [{"ports": [{"protocol": "TCP", "port": code_facts(CHAT).port}]}]
    (metrics,) = overlay.one("NetworkPolicy", "metrics")["spec"]["ingress"]
    ports = [port["port"] for port in metrics["ports"]]
    sidecars = {int(annotations(overlay.one("Deployment", service))["metrics-port"]) for service in SERVICES}
    assert sorted(ports) == sorted([*sidecars, *(code_facts(service).port for service in SERVICES)])
    assert metrics["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]


@services
def test_each_service_has_an_identity_of_its_own(overlay: Overlay, service: str) -> None:
    """Dapr's certificates are given to ServiceAccounts."""
    assert overlay.one("Deployment", service)["spec"]["template"]["spec"]["serviceAccountName"] == service
    assert overlay.one("ServiceAccount", service)["automountServiceAccountToken"] is False
