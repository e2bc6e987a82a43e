"""The tutorial that this system comes from. Its code and its tests are not in this repository."""

import os
from pathlib import Path

from harness.paths import ROOT
from harness.services import CHAT_SERVICE, MEMORY_SERVICE

DEFAULT_FOLDER = "../shared/tutorial"
"""Where the tutorial is looked for when TUTORIAL_DIR is not set, relative to the root of the repository."""


def tutorial_folder() -> Path:
    """Return the folder that TUTORIAL_DIR names, relative to the root of the repository. It may not exist."""
    return (ROOT / (os.environ.get("TUTORIAL_DIR") or DEFAULT_FOLDER)).resolve()


def tutorial_has(file: str) -> bool:
    """Return whether both services of the tutorial have a file of that name."""
    return all((tutorial_folder() / service / file).is_file() for service in (MEMORY_SERVICE, CHAT_SERVICE))
