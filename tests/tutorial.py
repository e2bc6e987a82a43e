"""The tutorial that this system comes from: its code and its tests are not in this repository."""

import os

import pytest

from sidecars import ROOT

FOLDER = (ROOT / (os.environ.get("TUTORIAL_DIR") or "../shared/tutorial")).resolve()
"""Named by TUTORIAL_DIR, relative to the root of this repository."""
SERVICES = ("agent_memory_service", "chat_service")

needs_tutorial = pytest.mark.skipif(
    not all((FOLDER / service / "test_main.py").is_file() for service in SERVICES),
    reason=f"the tutorial is not at {FOLDER}: its tests were NOT run; name its folder by TUTORIAL_DIR",
)
