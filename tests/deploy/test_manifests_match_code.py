"""The manifests name app ids, ports, routes, variables and components as the code, dapr.yaml and components/ do."""

import pytest

from tests.deploy.code_facts import SERVICES, code_facts
from tests.deploy.manifests import ROOT, Overlay, annotations, containers, documents, environment

CHAT, MEMORY = SERVICES
KUBERNETES_DOC = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")

services = pytest.mark.parametrize("service", SERVICES)


@services
def test_app_ids_and_ports_are_those_of_dapr_yaml(overlay: Overlay, service: str) -> None:
    """The pods' annotations, container port, probes and Service name the service as dapr.yaml does."""
    deployment, facts = overlay.one("Deployment", service), code_facts(service)
    (container,) = containers(deployment)
    stated = annotations(deployment)
    assert stated["app-id"] == facts.app["appID"]
    assert stated["app-port"] == str(facts.port)
    assert container["ports"] == [{"name": "http", "containerPort": facts.port}]
    (port,) = overlay.one("Service", service)["spec"]["ports"]
    assert port["targetPort"] == "http"


@services
def test_probes_ask_routes_that_exist(overlay: Overlay, service: str) -> None:
    """A pod starts when it is ready for turns, and stays in its Service while its process serves."""
    (container,) = containers(overlay.one("Deployment", service))
    asked = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert {name: probe["path"] for name, probe in asked.items()} == {
        "startup": "/health/ready",
        "readiness": "/health/live",
        "liveness": "/health/live",
    }
    assert {probe["path"] for probe in asked.values()} <= code_facts(service).paths
    assert {probe["port"] for probe in asked.values()} == {"http"}


@services
def test_environment_names_are_settings(overlay: Overlay, service: str) -> None:
    """A variable that no setting reads would be ignored without a word."""
    (container,) = containers(overlay.one("Deployment", service))
    assert set(environment(container)) <= set(code_facts(service).settings)


def test_the_chat_service_calls_the_memory_service(overlay: Overlay) -> None:
    """By the app id that the memory service's pods have; both sidecars use one port between them."""
    chat, memory = overlay.one("Deployment", CHAT), overlay.one("Deployment", MEMORY)
    assert environment(containers(chat)[0])["MEMORY_APP_ID"]["value"] == annotations(memory)["app-id"]
    assert annotations(chat)["internal-grpc-port"] == annotations(memory)["internal-grpc-port"]


def test_the_state_component_is_the_one_that_the_memory_service_names(overlay: Overlay) -> None:
    """Its name is the setting's, its only scope the memory service, and its file says so outside Kubernetes too."""
    (component,) = overlay.all("Component")
    (local,) = documents(ROOT / "components" / "statestore.yaml")
    (container,) = containers(overlay.one("Deployment", MEMORY))
    name = component["metadata"]["name"]
    assert name == environment(container)["STATE_STORE"]["value"] == code_facts(MEMORY).settings["STATE_STORE"]
    assert name == local["metadata"]["name"]
    assert component["scopes"] == local["scopes"] == [annotations(overlay.one("Deployment", MEMORY))["app-id"]]


def test_redis_fails_as_fast_as_outside_kubernetes() -> None:
    """The component's settings are those of components/, but for the host and where the password comes from."""
    (component,) = Overlay("redis").all("Component")
    (local,) = documents(ROOT / "components" / "statestore.yaml")
    elsewhere = {"redisHost", "redisPassword"}
    stated, wanted = (
        {item["name"]: item.get("value") for item in manifest["spec"]["metadata"]} for manifest in (component, local)
    )
    assert set(stated) == set(wanted)
    assert {name: stated[name] for name in stated.keys() - elsewhere} == {
        name: wanted[name] for name in wanted.keys() - elsewhere
    }


def test_the_store_is_where_the_component_looks(overlay: Overlay) -> None:
    """Host, port, Service and network policies of the store agree."""
    (stateful,) = overlay.all("StatefulSet")
    name = stateful["metadata"]["name"]
    (port,) = containers(stateful)[0]["ports"]
    (service_port,) = overlay.one("Service", name)["spec"]["ports"]
    assert service_port["port"] == port["containerPort"]
    (allowed,) = overlay.one("NetworkPolicy", name)["spec"]["ingress"]
    (reached,) = overlay.one("NetworkPolicy", f"{MEMORY}-to-{name}")["spec"]["egress"]
    assert allowed["ports"] == reached["ports"] == [{"protocol": "TCP", "port": port["containerPort"]}]
    if overlay.name == "redis":
        (component,) = overlay.all("Component")
        (host,) = [item["value"] for item in component["spec"]["metadata"] if item["name"] == "redisHost"]
        assert host == f"{name}:{port['containerPort']}"
    else:
        assert f"host={name} port={port['containerPort']} " in KUBERNETES_DOC


def test_calls_are_retried_as_outside_kubernetes(overlay: Overlay) -> None:
    """The Resiliency is that of components/, for calls to the memory service, in the chat service's sidecar alone."""
    (resiliency,) = overlay.all("Resiliency")
    (local,) = documents(ROOT / "components" / "resiliency.yaml")
    assert resiliency["spec"] == local["spec"]
    assert list(resiliency["spec"]["targets"]["apps"]) == [annotations(overlay.one("Deployment", MEMORY))["app-id"]]
    assert resiliency["scopes"] == [annotations(overlay.one("Deployment", CHAT))["app-id"]]
