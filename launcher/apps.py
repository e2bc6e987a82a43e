"""The apps of `dapr.yaml` and their ports. No other file of the launcher names a port."""

from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
"""The root of the repository."""

RUN_FILE = ROOT / "dapr.yaml"

HOST = "127.0.0.1"
"""Where the apps and the sidecars of `dapr.yaml` listen."""


@dataclass(frozen=True, slots=True)
class App:
    """One app of the file: its Dapr app id, its folder's name, and the ports of the app and of its sidecar."""

    app_id: str
    folder: str
    port: int
    sidecar_port: int
    sidecar_grpc_port: int
    """Only Dapr's sidecar opens it."""

    @property
    def url(self) -> str:
        """The base URL of the app."""
        return f"http://{HOST}:{self.port}"


def read_apps(file: Path = RUN_FILE) -> list[App]:
    """Return the apps in the order in which they start: the memory service first, as the chat service needs it."""
    return [
        App(
            app["appID"],
            Path(app["appDirPath"]).name,
            app["appPort"],
            app["daprHTTPPort"],
            app["daprInternalGRPCPort"],
        )
        for app in yaml.safe_load(file.read_text(encoding="utf-8"))["apps"]
    ]
