"""Local sidecars for a replay, each with the components given as YAML documents."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from harness.environment import free_ports
from harness.processes import Process

BIN = Path(sys.executable).parent


def state_component(kind: str, version: str = "v1", metadata: str = "") -> str:
    """The document of a state store named `statestore`."""
    spec = f"spec: {{type: {kind}, version: {version}, metadata: [{metadata}]}}"
    return f"apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {{name: statestore}}\n{spec}\n"


REDIS = state_component("state.redis")


def start_sidecar(folder: Path, app_id: str, app_port: int | None, components: Sequence[str], stack: ExitStack) -> str:
    """Start a sidecar that ends with the stack, and wait until it serves. Returns its base URL.

    The sidecars of one folder find each other and share their state.
    """
    (folder / "components").mkdir(exist_ok=True)
    (folder / "components" / "components.yaml").write_text("---\n".join(components))
    (port,) = free_ports(1)
    command = [str(BIN / "local-sidecar"), "--app-id", app_id, "--dapr-http-port", str(port)]
    command += ["--resources-path", "components", "--state-path", "state.db"]
    command += [] if app_port is None else ["--app-port", str(app_port)]
    base = f"http://127.0.0.1:{port}"
    environment = {"LOCAL_SIDECAR_REGISTRY": str(folder / "registry")}
    sidecar = Process(command, folder, environment, folder / f"{app_id}.log", f"{base}/v1.0/healthz/outbound")
    stack.callback(sidecar.stop)
    sidecar.start()
    sidecar.until_ready()
    return base
