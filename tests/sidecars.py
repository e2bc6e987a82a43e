"""How a sidecar is started: the local one, or Dapr's own where DAPRD names its binary."""

import os
import sys
from pathlib import Path

from processes import free_ports

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
DAPRD = os.environ.get("DAPRD")
"""Then the store is the Redis of `components/statestore.yaml`, and the tests draw ids that it has not seen.

Dapr's sidecars find all others of the machine, those of another system too: run one module of tests at a time.
"""


def sidecar_command(app_id: str, app_port: int, http_port: int, state: Path) -> list[str]:
    """The command of one app's sidecar; the local one keeps the state in the file given."""
    common = ["--app-id", app_id, "--app-port", str(app_port), "--dapr-http-port", str(http_port)]
    common += ["--resources-path", str(ROOT / "components")]
    if DAPRD is None:
        return [str(BIN / "local-sidecar"), *common, "--state-path", str(state)]
    grpc, internal, public = free_ports(3)
    return [
        *(DAPRD, *common, "--config", str(ROOT / "components" / "config.yaml")),
        *("--dapr-grpc-port", str(grpc), "--dapr-internal-grpc-port", str(internal)),
        *("--dapr-public-port", str(public), "--dapr-listen-addresses", "127.0.0.1"),
        *("--placement-host-address", "", "--enable-metrics=false", "--log-level", "warn"),
    ]


def sidecar_environment(folder: Path) -> dict[str, str]:
    """Local sidecars of one system find each other, and no others; Dapr's take the address to be found at."""
    return {"LOCAL_SIDECAR_REGISTRY": str(folder / "registry"), "DAPR_HOST_IP": "127.0.0.1"}
