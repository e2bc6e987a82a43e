"""How a sidecar is started: the local one, or Dapr's own when asked."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.processes import free_ports

ROOT = Path(__file__).resolve().parent.parent
COMPONENTS = ROOT / "components"


class MissingToolError(Exception):
    """Something that a run needs is not on this machine; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Sidecars:
    """The command of a sidecar by app id and ports. `binary` is Dapr's daemon, or none for the local sidecar."""

    binary: Path | None

    @property
    def name(self) -> str:
        """What the sidecars of this run are, for the table's heading."""
        return "Dapr's sidecar on Redis" if self.binary else "the local sidecar on SQLite"

    @property
    def kept_apart(self) -> bool:
        """Whether two systems can run at once. Dapr's sidecars find each other by app id on the whole network."""
        return self.binary is None

    def env(self, folder: Path) -> dict[str, str]:
        """What makes sidecars find only those of the same folder."""
        return {} if self.binary else {"LOCAL_SIDECAR_REGISTRY": str(folder / "registry")}

    def command(self, app_id: str, app_port: int, http_port: int) -> list[str]:
        """The command line of one sidecar."""
        common = ["--app-id", app_id, "--app-port", str(app_port), "--dapr-http-port", str(http_port)]
        resources = ["--resources-path", str(COMPONENTS)]
        if self.binary is None:
            return [str(Path(sys.executable).parent / "local-sidecar"), *common, *resources]
        grpc_port, internal_port, public_port = free_ports(3)
        return [
            *(str(self.binary), *common, *resources),
            *("--config", str(COMPONENTS / "config.yaml")),
            *("--dapr-grpc-port", str(grpc_port), "--dapr-internal-grpc-port", str(internal_port)),
            *("--dapr-public-port", str(public_port), "--dapr-listen-addresses", "127.0.0.1"),
            *("--placement-host-address", "", "--enable-metrics=false", "--log-level", "warn"),
        ]


def sidecars(*, dapr: bool) -> Sidecars:
    """The sidecars of this run. Raises MissingToolError when Dapr is asked for and its daemon is not found."""
    if not dapr:
        return Sidecars(None)
    named = os.environ.get("DAPRD")
    found = named or shutil.which("daprd", path=f"{Path.home() / '.dapr' / 'bin'}{os.pathsep}{os.environ['PATH']}")
    if not found or not Path(found).is_file():
        raise MissingToolError("no daprd: run `dapr init --slim`, or name the binary by DAPRD=PATH")
    return Sidecars(Path(found))
