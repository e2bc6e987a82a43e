"""The tutorial that this system comes from. Its code and its tests are not in this repository."""

import os
from pathlib import Path

from harness.paths import BIN, ROOT
from harness.services import CHAT_SERVICE, MEMORY_SERVICE, ServiceCommand

DEFAULT_FOLDER = "../shared/tutorial"
"""Where the tutorial is looked for when TUTORIAL_DIR is not set, relative to the root of the repository."""

REPOSITORY = "https://github.com/panaversity/learn-agentic-ai"
"""Where the tutorial is published."""

FOLDER_THERE = "07_daca_agent_native_dev/backup/03_dapr_state_management/fastapi-daca-tutorial"
"""The folder of the tutorial's code in that repository."""


def tutorial_folder() -> Path:
    """Return the folder that TUTORIAL_DIR names, relative to the root of the repository. It may not exist."""
    return (ROOT / (os.environ.get("TUTORIAL_DIR") or DEFAULT_FOLDER)).resolve()


def tutorial_code(service: str) -> Path:
    """Return the folder of one of the tutorial's services. Its repository writes one of the names with a hyphen."""
    named = tutorial_folder() / service
    return named if named.is_dir() else tutorial_folder() / service.replace("_", "-")


def tutorial_service(service: str, port: int) -> ServiceCommand:
    """Return the command of a service of the tutorial."""
    launcher = (str(BIN / "python"), "-m", "harness.tutorial_launcher")
    return ServiceCommand((*launcher, str(tutorial_code(service)), "--port", str(port)), ROOT, "/")


def tutorial_missing(file: str) -> str | None:
    """Return where to get the tutorial, in one line, or None if both its services have a file of that name."""
    if all((tutorial_code(service) / file).is_file() for service in (MEMORY_SERVICE, CHAT_SERVICE)):
        return None
    return (
        f"the tutorial's code is not in {tutorial_folder()}: run `git clone {REPOSITORY}` and name its folder "
        f"{FOLDER_THERE} by TUTORIAL_DIR=PATH"
    )
