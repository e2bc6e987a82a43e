"""What the tests of this folder share."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

import main
from log import page_plan
from tests.fake_clients import Sidecar
from tests.fake_dapr import FakeDapr
from tests.rules_harness import Simulate
from tests.service_under_test import Service
from tests.workload import memory_over

TINY_PAGE = 2
TINY_HEAD_KEEPS = 3  # entries; no turn of these tests is longer

settings.register_profile(
    "ci", derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck), max_examples=150
)
settings.register_profile("long", settings.get_profile("ci"), derandomize=False, max_examples=20_000)
settings.load_profile("ci")


@pytest.fixture(scope="module")
def tiny_pages() -> Iterator[int]:
    """Pages of two entries behind a head that keeps three: sealing is everywhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_plan, "PAGE", TINY_PAGE)
        patch.setattr(page_plan, "HEAD_KEEPS", TINY_HEAD_KEEPS)
        yield TINY_PAGE


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The app, with its memory over a fake Dapr whose clock is the loop's."""
    dapr = FakeDapr(lambda: asyncio.get_running_loop().time())
    sidecar = Sidecar(dapr)
    memory = memory_over(sidecar)
    monkeypatch.setattr(main, "memory", memory)
    kept = main.app.state.memory
    main.app.state.memory = memory
    yield Service(dapr, sidecar)
    main.app.state.memory = kept


@pytest.fixture
def simulate(tiny_pages: int) -> Iterator[Simulate]:
    """Starts simulations with tiny pages."""
    simulate = Simulate()
    yield simulate
    simulate.close()
