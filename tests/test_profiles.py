"""A profile is written by three routes, which work in any order."""

import pytest

from harness.system import System
from tests.calls import client

PROFILE = {"name": "Ada", "preferred_style": "formal", "goal": "learn"}


@pytest.mark.parametrize("before", ["PATCH", "DELETE", "POST"])
async def test_a_profile_can_be_initialized_whatever_was_before(system: System, before: str) -> None:
    """After a change, an erase or an earlier profile the tutorial's route writes a new one."""
    url = f"{system.memory}/memories/{system.new_id('user')}"
    async with client() as http:
        assert (await http.post(f"{url}/initialize", json={**PROFILE, "name": "other"})).status_code == 200
        if before == "PATCH":
            assert (await http.patch(url, json={"goal": "rest"})).json() == {**PROFILE, "name": "other", "goal": "rest"}
        if before == "DELETE":
            assert (await http.delete(url)).status_code == 204
        assert (await http.post(f"{url}/initialize", json=PROFILE)).status_code == 200
        assert (await http.get(url)).json() == PROFILE
