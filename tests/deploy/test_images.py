"""The images start what dapr.yaml starts, on the packages that are pinned for them, as an unprivileged user."""

import ast
import json
import re

import pytest

from tests.deploy.code_facts import SERVICES, code_facts
from tests.deploy.manifests import ROOT, Overlay, containers

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
ANY_ADDRESS = "0.0.0.0"  # in a container the pod's or the network's address is the one that is called
DEVELOPMENT_ONLY = {"hypothesis", "kubernetes-validate", "mypy", "pytest", "ruff", "schemathesis", "setuptools"}

services = pytest.mark.parametrize("service", SERVICES)


def stage(name: str) -> dict[str, list[str]]:
    """The instructions of one stage, each with its arguments in order."""
    found: dict[str, list[str]] = {}
    (body,) = re.findall(rf"^FROM [^\n]* AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    for line in body.splitlines():
        if line and not line.startswith("#"):
            instruction, _, arguments = line.partition(" ")
            found.setdefault(instruction, []).append(arguments.strip())
    return found


def pins(path: str) -> dict[str, str]:
    """The packages of a lock file and their versions."""
    text = (ROOT / path).read_text(encoding="utf-8")
    entries = re.findall(r"^([a-z0-9][\w.-]*)==(\S+)(.*?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    for name, _, rest in entries:
        assert "--hash=sha256:" in rest, f"{path}: {name} is not locked by hash"
    return {name: version for name, version, _ in entries}


@services
def test_the_image_starts_what_dapr_yaml_starts(service: str) -> None:
    """In exec form, so that signals reach the service; only the address it listens on differs."""
    facts = code_facts(service)
    (command,) = stage(service)["CMD"]
    program, *options = facts.app["command"]
    wanted = [program.rpartition("/")[2], *(ANY_ADDRESS if option == "127.0.0.1" else option for option in options)]
    assert json.loads(command) == wanted
    assert stage(service)["EXPOSE"] == [str(facts.port)]
    assert stage(service)["COPY"][-1] == f"{facts.folder} /srv/{facts.folder}"
    assert stage(service)["WORKDIR"] == [f"/srv/{facts.folder}"]


@services
def test_the_image_is_healthy_while_the_service_is_live(service: str) -> None:
    """The check is a program of Python's own, since the image has no curl; it asks the liveness route."""
    facts = code_facts(service)
    (check,) = stage(service)["HEALTHCHECK"]
    program, option, code = json.loads(check.partition("CMD")[2])
    ast.parse(code)
    assert (program, option) == ("python", "-c")
    (path,) = re.findall(r"'GET', '([^']+)'", code)
    assert path == "/health/live"
    assert path in facts.paths
    assert f"('127.0.0.1', {facts.port}, " in code


@services
def test_the_image_has_the_packages_that_are_pinned_for_it(service: str) -> None:
    """Those of the service and what they need, in the versions that the tests ran with, and none of development."""
    lock = f"requirements-{service}.txt"
    assert stage(f"{service}-packages")["COPY"] == [f"{lock} /tmp/requirements.txt"]
    packages, tested = pins(lock), pins("requirements.txt")
    assert packages.items() <= tested.items()
    assert "uvicorn" in packages
    assert not packages.keys() & DEVELOPMENT_ONLY


def test_the_user_is_that_of_the_manifests() -> None:
    """A number, as Kubernetes demands to see that it is not root."""
    (user,) = stage("runtime")["USER"]
    for service in SERVICES:
        (container,) = containers(Overlay("redis").one("Deployment", service))
        context = container["securityContext"]
        assert user == f"{context['runAsUser']}:{context['runAsGroup']}"


def test_the_builder_is_given_only_what_the_images_hold() -> None:
    """Secrets, tests and caches stay out."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    wanted = {code_facts(service).folder for service in SERVICES} | {f"requirements-{name}.txt" for name in SERVICES}
    assert rules[0] == "*"
    assert allowed == wanted
    assert {"**/.env", "**/tests", "**/test_*.py"} <= set(rules)
