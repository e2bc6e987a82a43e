"""The overlays, one after the other."""

import pytest

from tests.deploy.manifests import OVERLAYS, Overlay


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> Overlay:
    """Each overlay in turn."""
    return Overlay(request.param)
