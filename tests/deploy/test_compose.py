"""compose.yaml starts each service beside its own sidecar, with the ids, ports and components that the code names."""

import pytest

from tests.deploy.code_facts import SERVICES, code_facts
from tests.deploy.dapr_resources import SHAPES
from tests.deploy.manifests import DEPLOY, ROOT, Manifest, documents

CHAT, MEMORY = SERVICES
(COMPOSE,) = documents(ROOT / "compose.yaml")
STORES = ("redis", "postgres")

services = pytest.mark.parametrize("service", SERVICES)


def part(name: str) -> Manifest:
    """One service of the compose file."""
    found: Manifest = COMPOSE["services"][name]
    return found


def flags(service: str) -> dict[str, str]:
    """The options of a service's sidecar."""
    return dict(argument.removeprefix("--").split("=", 1) for argument in part(f"{service}-dapr")["command"][1:])


@services
def test_a_sidecar_is_told_what_dapr_yaml_says(service: str) -> None:
    """App id, app port and HTTP port; its host name is the app id, by which other sidecars find it."""
    facts, stated = code_facts(service), flags(service)
    assert stated["app-id"] == facts.app["appID"]
    assert stated["app-port"] == str(facts.port)
    assert stated["dapr-http-port"] == str(facts.app["daprHTTPPort"])
    sidecar = part(f"{service}-dapr")
    assert sidecar["networks"]["default"]["aliases"] == [facts.app["appID"]]
    assert sidecar["ports"] == [f"127.0.0.1:{facts.port}:{facts.port}"]


@services
def test_a_service_shares_its_sidecars_network(service: str) -> None:
    """They talk on 127.0.0.1, the image is its own, and each variable is one of its settings."""
    stated = part(service)
    assert stated["network_mode"] == f"service:{service}-dapr"
    assert stated["build"] == {"context": ".", "target": service}
    assert set(stated["environment"]) <= set(code_facts(service).settings)
    assert stated["environment"]["DAPR_HTTP_PORT"] == flags(service)["dapr-http-port"]


def test_the_chat_service_calls_the_memory_service() -> None:
    """By its app id, on the port that every sidecar listens on for others."""
    assert part(CHAT)["environment"]["MEMORY_APP_ID"] == flags(MEMORY)["app-id"]
    (configuration,) = documents(DEPLOY / "compose" / "config.yaml")
    address = configuration["spec"]["nameResolution"]["configuration"]["format"]
    for service in SERVICES:
        assert address == "{appid}:" + flags(service)["dapr-internal-grpc-port"]


def test_the_chat_service_is_stopped_before_what_it_needs() -> None:
    """Compose stops what depends on others first: the service, its sidecar, then the memory's pair."""
    assert list(part(CHAT)["depends_on"]) == [f"{CHAT}-dapr"]
    assert list(part(f"{CHAT}-dapr")["depends_on"]) == [MEMORY]
    assert list(part(MEMORY)["depends_on"]) == [f"{MEMORY}-dapr"]
    grace = int(part(CHAT)["stop_grace_period"].removesuffix("s"))
    assert grace > code_facts(CHAT).settings["SHUTDOWN_TIMEOUT_SECONDS"] + 2


@pytest.mark.parametrize("store", STORES)
def test_each_store_is_the_one_that_the_memory_service_names(store: str) -> None:
    """The component has its name, its scope, a known shape, and its secrets come from the sidecar's environment."""
    (component,) = documents(DEPLOY / "compose" / store / "statestore.yaml")
    SHAPES["Component"].model_validate(component)
    stated = part(MEMORY)["environment"]["STATE_STORE"]
    assert component["metadata"]["name"] == stated == code_facts(MEMORY).settings["STATE_STORE"]
    assert component["scopes"] == [flags(MEMORY)["app-id"]]
    read = {item["envRef"] for item in component["spec"]["metadata"] if "envRef" in item}
    assert read
    assert read <= set(part(f"{MEMORY}-dapr")["environment"])
    assert f"./deploy/compose/{store}:/from:ro" in part(f"use-{store}")["volumes"]


def test_the_configuration_has_its_shape() -> None:
    """And spans go to a service of the compose file."""
    (configuration,) = documents(DEPLOY / "compose" / "config.yaml")
    SHAPES["Configuration"].model_validate(configuration)
    host, _, _ = configuration["spec"]["tracing"]["otel"]["endpointAddress"].partition(":")
    assert host in COMPOSE["services"]
    for service in SERVICES:  # what a sidecar traces and its service does not would have parents that nobody reports
        assert part(service)["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://{host}:4318"


def test_postgresql_starts_only_when_it_is_asked_for() -> None:
    """The profile adds PostgreSQL and the copy of its component, which the memory's sidecar then waits for."""
    asked = {name for name, stated in COMPOSE["services"].items() if "profiles" in stated}
    assert asked == {"postgres", "use-postgres"}
    assert part(f"{MEMORY}-dapr")["depends_on"]["use-postgres"] == {
        "condition": "service_completed_successfully",
        "required": False,
    }
    assert "use-redis" in part("use-postgres")["depends_on"]


def test_every_file_that_is_mounted_exists() -> None:
    """Docker would make an empty folder of a file that is missing."""
    for name, stated in COMPOSE["services"].items():
        for volume in stated.get("volumes", []):
            source = volume.partition(":")[0]
            assert not source.startswith("./") or (ROOT / source).exists(), name
