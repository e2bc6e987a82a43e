"""What the tests of this folder share."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

import page_plan

TINY_PAGE = 2
TINY_HEAD_KEEPS = 3  # entries; no turn of these tests is longer

settings.register_profile(
    "ci", derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck), max_examples=250
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
