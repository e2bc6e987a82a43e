"""How a sidecar is started: the local one, or Dapr's own."""

import os
from dataclasses import dataclass
from pathlib import Path

from harness.environment import free_ports
from harness.paths import BIN, COMPONENTS, ROOT


@dataclass(frozen=True, slots=True)
class Sidecars:
    """The sidecars of one system: the local ones if `daprd` is None, else Dapr's binary at that path.

    `components` is the folder of their resources. The local sidecar reads it and keeps the state in an SQLite file;
    Dapr's keep the state in the store that the folder describes, which must run. Ids drawn by the tests are new to it.
    """

    daprd: Path | None = None
    components: Path = COMPONENTS

    @property
    def isolated(self) -> bool:
        """Whether two systems can run at once. Dapr's sidecars find every sidecar with an app id on the machine."""
        return self.daprd is None

    def environment(self, folder: Path) -> dict[str, str]:
        """Return the environment in which the sidecars of the system in `folder` find each other."""
        if self.daprd is None:
            return {"LOCAL_SIDECAR_REGISTRY": str(folder / "registry")}
        return {"DAPR_HOST_IP": "127.0.0.1"}

    def command(self, app_id: str, app_port: int, http_port: int, state: Path) -> list[str]:
        """Return the command of one app's sidecar. The local one keeps the state in the file `state`."""
        common = ["--app-id", app_id, "--app-port", str(app_port), "--dapr-http-port", str(http_port)]
        common += ["--resources-path", str(self.components)]
        if self.daprd is None:
            return [str(BIN / "local-sidecar"), *common, "--state-path", str(state)]
        grpc, internal, public = free_ports(3)
        return [
            *(str(self.daprd), *common, "--config", str(self._configuration)),
            *("--dapr-grpc-port", str(grpc), "--dapr-internal-grpc-port", str(internal)),
            *("--dapr-public-port", str(public), "--dapr-listen-addresses", "127.0.0.1"),
            *("--placement-host-address", "", "--enable-metrics=false", "--log-level", "warn"),
        ]

    @property
    def _configuration(self) -> Path:
        own = self.components / "config.yaml"
        return own if own.exists() else COMPONENTS / "config.yaml"


def sidecars_from_environment(components: Path | None = None) -> Sidecars:
    """Return the sidecars that the environment asks for.

    DAPRD names Dapr's binary; without it the local sidecar is used. COMPONENTS names the resources folder where
    `components` does not. Relative paths start at the root of the repository. With DAPRD run one module of tests at a
    time: the sidecars of two systems would find each other.
    """
    daprd, named = os.environ.get("DAPRD"), os.environ.get("COMPONENTS")
    chosen = components or (ROOT / named if named else COMPONENTS)
    return Sidecars(ROOT / daprd if daprd else None, chosen)
