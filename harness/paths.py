"""Where the parts of this repository are."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The root of the repository."""

BIN = Path(sys.executable).parent
"""The folder of the virtual environment's commands."""

COMPONENTS = ROOT / "components"
"""The Dapr resources that `dapr.yaml` names: the state store, the resiliency policy, the configuration."""
