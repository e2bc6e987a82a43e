"""The shortest interleavings in which an erase would lose something or take too much, one test for each rule."""

from documents import Document
from tests.rules_harness import Simulate, settled
from tests.user_workload import ChangeGoal, Erase, ListSessions
from tests.workload import Append, Replace


def test_an_erase_does_not_lose_a_session_listed_meanwhile(simulate: Simulate) -> None:
    """E reads the list; A lists t; E must walk again before it closes the list, or t would live on unlisted."""
    simulation = simulate([Erase("s")], [Append("t", "p")], before=[Append("s", "a")])
    simulation.reach("0.0", "save session:s")
    simulation.reach("1.0", "save session:t")
    assert simulation.complete("0.0").error is None
    simulation.complete("1.0")
    assert settled(simulation, "t").deleted
    assert not simulation.observer.now["s"].live


def test_a_first_turn_after_an_erase_revives_the_list(simulate: Simulate) -> None:
    """A listing read before the erase and written after it fails on the etag; the session begun then is listed."""
    simulation = simulate([Append("t", "p")], [Erase("s")], before=[Append("s", "a")])
    simulation.reach("0.0", "save sessions-of:u")
    simulation.complete("1.0")
    assert simulation.complete("0.0").error is None
    assert simulation.ask(ListSessions("t")).answer == ["t"]
    assert settled(simulation, "t").turns == ["p"]


def test_an_erase_leaves_the_sessions_of_others(simulate: Simulate) -> None:
    """Both u and v listed s, v's turn won; erasing u leaves it."""
    simulation = simulate([Append("s", "p", "u")], [Append("s", "q", "v")], [Erase("s", "u")])
    simulation.reach("0.0", "save session:s")
    simulation.complete("1.0")
    assert simulation.complete("0.0").error is not None
    simulation.complete("2.0")
    assert settled(simulation).owner == "v"


def test_an_erase_that_meets_a_claim_under_way_gets_the_session_too(simulate: Simulate) -> None:
    """u claims an ownerless session that E has just passed: the claim fails on the etag and is listed anew."""
    simulation = simulate([Append("s", "p")], [Erase("s")], before=[Replace("s", "X")])
    simulation.reach("0.0", "save session:s")
    simulation.complete("1.0")
    assert simulation.complete("0.0").error is None
    assert simulation.ask(ListSessions("s")).answer == ["s"]
    assert settled(simulation).owner == "u"


def test_a_profile_change_in_flight_does_not_bring_an_erased_profile_back(simulate: Simulate) -> None:
    """P reads the profile, E erases it, P's save fails on the etag: its second reading knows nothing of the old one."""
    old: Document = {"name": "Ann", "preferred_style": "formal", "goal": "secret"}
    simulation = simulate([ChangeGoal("s", goal="new")], [Erase("s")], seeds={"user:u": old})
    simulation.reach("0.0", "save user:u")
    simulation.complete("1.0")
    assert simulation.dapr.values()["user:u"] == {}
    simulation.complete("0.0")
    assert simulation.dapr.values()["user:u"] == {"name": "u", "preferred_style": "casual", "goal": "new"}
    settled(simulation)
