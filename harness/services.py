"""How the parts beside the sidecars are started: our services, the tutorial's, and the stand-in model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness.environment import free_ports, local_url
from harness.groups import ProcessGroup
from harness.paths import BIN, ROOT
from harness.processes import Process

MEMORY_SERVICE, CHAT_SERVICE = "agent_memory_service", "chat_service"
"""The services by the names of their folders."""

APP_IDS = {MEMORY_SERVICE: "agent-memory-service", CHAT_SERVICE: "chat-service"}
"""The names by which sidecars know the services, as in `dapr.yaml`."""


@dataclass(frozen=True, slots=True)
class ServiceCommand:
    """The command of a service, the folder it is started in, and a path that responds when the service is ready."""

    command: tuple[str, ...]
    cwd: Path
    ready_path: str


Launcher = Callable[[str, int], ServiceCommand]
"""Gives the command of a service by its folder's name and its port."""


def our_service(service: str, port: int) -> ServiceCommand:
    """Return the command that `dapr.yaml` has for a service of this repository, with another port."""
    apps = yaml.safe_load((ROOT / "dapr.yaml").read_text(encoding="utf-8"))["apps"]
    app = next(app for app in apps if app["appID"] == APP_IDS[service])
    _, *arguments = app["command"]
    arguments[arguments.index("--port") + 1] = str(port)
    return ServiceCommand((str(BIN / "uvicorn"), *arguments), ROOT / service, "/health/live")


def add_service(
    group: ProcessGroup,
    service: str,
    *,
    launcher: Launcher,
    sidecar_port: int,
    port: int | None = None,
    env: Mapping[str, str] | None = None,
) -> tuple[Process, str]:
    """Add a service that uses the sidecar at `sidecar_port`. Returns its process and its base URL."""
    url = local_url(port := port or free_ports(1)[0])
    start = launcher(service, port)
    all_env = {**(env or {}), "DAPR_HTTP_PORT": str(sidecar_port)}
    process = group.add(APP_IDS[service], start.command, ready=f"{url}{start.ready_path}", cwd=start.cwd, env=all_env)
    return process, url


def add_model(group: ProcessGroup, token_ms: int = 0) -> str:
    """Add a stand-in model that takes `token_ms` milliseconds for each word. Returns its base URL."""
    url = local_url(port := free_ports(1)[0])
    command = (str(BIN / "python"), "-m", "harness.model.endpoint", "--port", str(port), "--token-ms", str(token_ms))
    group.add("model", command, ready=f"{url}/requests")
    return f"{url}/v1"
