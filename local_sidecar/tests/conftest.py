"""A folder of processes for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sidecar_process import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Processes that end with the test."""
    house = House(tmp_path)
    yield house
    house.stop()
