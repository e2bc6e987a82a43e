"""On Redis a TTL is a command of its own behind the write, and may come late. It must never hit what came meanwhile."""

import pytest

from tests.fake_clients import Fault
from tests.rules_harness import Simulate, settled
from tests.user_workload import ChangeGoal, Erase, Listed, ListSessions
from tests.workload import Append

TWO_DAYS_SECONDS = 2 * 24 * 60 * 60


@pytest.mark.parametrize("fault", [Fault.TTL_LATE, Fault.TTL_LOST])
def test_a_profile_begun_again_after_an_erase_stays(simulate: Simulate, fault: Fault) -> None:
    """E writes the tombstone, and its TTL command is late. P begins a new profile. It is there two days later."""
    simulation = simulate([Erase("s")], [ChangeGoal("s", goal="new")], before=[ChangeGoal("s", goal="old")])
    simulation.reach("0.0", "save user:u")
    simulation.step("0.0", fault)
    simulation.complete("1.0")
    for work in list(simulation.schedule.late):
        simulation.schedule.land(work)
    simulation.dapr.clock = lambda: simulation.loop.now + TWO_DAYS_SECONDS
    profile = simulation.dapr.value("user:u")
    assert isinstance(profile, dict)
    assert profile["goal"] == "new"


@pytest.mark.parametrize("fault", [Fault.TTL_LATE, Fault.TTL_LOST])
def test_a_list_begun_again_after_an_erase_stays(simulate: Simulate, fault: Fault) -> None:
    """E closes the list, and its TTL command is late. A lists a new session. It is listed and erasable for ever."""
    simulation = simulate([Erase("s")], [Append("t", "p")], before=[Append("s", "a")])
    simulation.reach("0.0", "save sessions-of:u")
    simulation.step("0.0")
    simulation.reach("0.0", "save sessions-of:u")
    simulation.step("0.0", fault)
    simulation.complete("1.0")
    for work in list(simulation.schedule.late):
        simulation.schedule.land(work)
    simulation.complete("0.0")
    assert settled(simulation, "t").turns == ["p"]
    simulation.dapr.clock = lambda: simulation.loop.now + TWO_DAYS_SECONDS
    assert simulation.request(ListSessions("t")).result == Listed(["t"])
