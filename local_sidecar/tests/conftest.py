"""A folder of processes for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox import Sandbox


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """Processes that end with the test."""
    sandbox = Sandbox(tmp_path)
    yield sandbox
    sandbox.stop()
