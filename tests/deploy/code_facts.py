"""What the code says, which the deployment must repeat: settings, routes, ports, app ids, the state component."""

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

from harness.environment import clean_environment
from tests.deploy.manifests import ROOT, Manifest, documents

SERVICES = ("chat-service", "agent-memory-service")

READ_FACTS = """
import json
from main import app
from metrics import Metrics
from settings import Settings
metrics = {}
for metric in Metrics()._registry._collector_to_names:  # the library has no public list of a metric's labels
    if hasattr(metric, "_labelnames"):
        (family,) = metric.describe()
        name = family.name + ("_total" if family.type == "counter" else "")
        metrics[name] = [family.type, *metric._labelnames]
fields = {name: field.default for name, field in Settings.model_fields.items()}
paths = sorted(app.openapi()["paths"])
json.dump({"settings": fields, "metrics": metrics, "paths": paths}, __import__("sys").stdout, default=str)
"""


@dataclass(frozen=True, slots=True)
class CodeFacts:
    """One service's facts; `settings` maps each environment variable to its default."""

    folder: str
    settings: dict[str, Any]
    paths: frozenset[str]
    metrics: dict[str, tuple[str, ...]]
    """The type and the labels of each metric."""
    app: Manifest
    """The service's entry in dapr.yaml."""

    @property
    def port(self) -> int:
        """The port that the service listens on."""
        return int(self.app["appPort"])


@cache
def code_facts(app_id: str) -> CodeFacts:
    """Asked of a process of its own: both services have modules of the same names."""
    (run_file,) = documents(ROOT / "dapr.yaml")
    (app,) = [app for app in run_file["apps"] if app["appID"] == app_id]
    folder = ROOT / app["appDirPath"]
    read = subprocess.run(
        [sys.executable, "-c", READ_FACTS], cwd=folder, env=clean_environment(), capture_output=True, check=True
    )
    facts = json.loads(read.stdout)
    settings = {name.upper(): default for name, default in facts["settings"].items()}
    metrics = {name: tuple(described) for name, described in facts["metrics"].items()}
    return CodeFacts(folder.name, settings, frozenset(facts["paths"]), metrics, app)
