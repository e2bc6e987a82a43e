"""Fixtures of the tests in this folder."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

import activity
import clock
import list_compaction
from log import page_plan
from main import create_app
from tests import fake_time
from tests.fake_clients import Sidecar
from tests.fake_dapr import FakeDapr
from tests.rules_harness import Simulate
from tests.service_under_test import Service
from tests.store_kinds import POSTGRESQL, REDIS, StoreKind
from tests.workload import SETTINGS

TINY_PAGE_ENTRIES = 2
"""Entries of a page: few, so that almost every append seals a page."""
TINY_HEAD_MIN_ENTRIES = 3
"""Entries that stay in a head: the longest turn of the simulations has as many."""
SHORT_ACTIVITY_SECONDS = 4.0
"""Age of an activity mark after which a turn adds another one: more than the deadline of a turn, as in the service."""

settings.register_profile(
    "quick", derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck), max_examples=15
)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=60)
settings.register_profile("long", settings.get_profile("quick"), derandomize=False, max_examples=20_000)
settings.load_profile("quick")


@pytest.fixture(autouse=True)
def virtual_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's time of day is the time of the loop."""
    monkeypatch.setattr(clock, "now", fake_time.now)


@pytest.fixture(scope="module")
def tiny_pages() -> Iterator[int]:
    """Pages of two entries, three entries that stay in the head, activity marks soon. Gives the entries of a page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_plan, "PAGE_ENTRIES", TINY_PAGE_ENTRIES)
        patch.setattr(page_plan, "HEAD_MIN_ENTRIES", TINY_HEAD_MIN_ENTRIES)
        patch.setattr(list_compaction, "COMPACT_AFTER", 1)
        patch.setattr(activity, "ACTIVITY_SECONDS", SHORT_ACTIVITY_SECONDS)
        yield TINY_PAGE_ENTRIES


@pytest.fixture(params=[REDIS, pytest.param(POSTGRESQL, marks=pytest.mark.slow)], ids=str)
def kind(request: pytest.FixtureRequest) -> StoreKind:
    """The two kinds of stores under the protocol: a write with an etag on a missing key is done, or refused."""
    kind: StoreKind = request.param
    return kind


@pytest.fixture
def service(kind: StoreKind) -> Service:
    """An app over a fake Dapr of each kind, whose clock is the loop's."""
    dapr = FakeDapr(lambda: asyncio.get_running_loop().time(), kind)
    sidecar = Sidecar(dapr)
    return Service(create_app(SETTINGS, sidecar_transport=sidecar), dapr, sidecar)


@pytest.fixture
def simulate(tiny_pages: int, kind: StoreKind) -> Iterator[Simulate]:
    """A function that starts simulations with tiny pages, on each kind of store."""
    simulate = Simulate(kind)
    yield simulate
    simulate.close()
