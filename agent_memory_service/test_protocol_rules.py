"""The shortest interleavings that break a store without the protocol's rules, one test for each rule."""

import pytest

from documents import Document
from fake_clients import Fault
from history_oracle import View
from page_plan import new_epoch
from simulation import Simulation, judge
from store_checks import check_store
from user_workload import ChangeGoal, Erase, ListSessions
from workload import Append, Delete, Operation, Read, Replace, Summarize

pytestmark = pytest.mark.usefixtures("tiny_pages")


def simulate(*programs: list[Operation], before: list[Operation] | None = None) -> Simulation:
    """Each client on a replica of its own, so that no lock of a process keeps them apart."""
    return Simulation(programs, before or [], replicas=len(programs))


def settled(simulation: Simulation, session: str = "s") -> View:
    """Let the rest happen, check everything, and return the session as it is left."""
    simulation.finish()
    judge(simulation)
    check_store(simulation.dapr, simulation.page)
    simulation.close()
    return simulation.observer.now[session]


def test_a_turn_whose_answer_was_lost_is_found_in_the_pages() -> None:
    """A's save is done and its answer lost; B and C seal the turn; A finds it there and does not add it again."""
    simulation = simulate([Append("s", "p")], [Append("s", "q"), Append("s", "r")], before=[Append("s", "a")])
    simulation.reach("0.0", "save session:s")
    simulation.step("0.0", Fault.ANSWER_LOST)
    simulation.complete("1.0")
    simulation.complete("1.1")
    assert simulation.observer.now["s"].sealed == 4
    record = simulation.complete("0.0")
    assert record.error is None
    assert settled(simulation).turns == ["a", "p", "q", "r"]


def test_writers_that_seal_the_same_page_write_the_same() -> None:
    """A and B read one head and both write page 0; only what was read is in it, so neither loses its turn."""
    turns: list[list[Operation]] = [[Append("s", "p", size=3)], [Append("s", "q", size=3)]]
    simulation = simulate(*turns, before=[Append("s", "a", size=3)])
    simulation.reach("0.0", "save session:s:")
    simulation.reach("1.0", "save session:s:")
    assert simulation.complete("0.0").error is None
    simulation.step("1.0")
    assert simulation.complete("1.0").error is None
    assert settled(simulation).turns == ["a", "p", "q"]


def test_replaces_that_race_do_not_mix() -> None:
    """X and Y read one head; the last to write wins whole, and what later seals is its own."""
    simulation = simulate([Replace("s", "X")], [Replace("s", "Y")], before=[Append("s", "a"), Append("s", "b")])
    simulation.reach("0.0", "save session:s")
    simulation.reach("1.0", "save session:s")
    simulation.complete("0.0")
    simulation.complete("1.0")
    simulation.ask(Append("s", "c"))
    assert [content for content, _ in settled(simulation).lines[:5]] == [f"Y.{number}" for number in range(5)]


def test_a_replace_that_dies_leaves_nothing_unnamed() -> None:
    """A replaced session names its old epoch until the pages are swept, whoever dies in between."""
    simulation = simulate([Replace("s", "X")], before=[Append("s", "a", size=3), Append("s", "b", size=3)])
    simulation.reach("0.0", "save session:s")
    simulation.step("0.0", Fault.ANSWER_LOST)
    simulation.crash(0)
    simulation.finish()
    simulation.ask(Delete("s"))
    assert settled(simulation).deleted


def test_a_delete_that_dies_is_finished_by_its_repetition() -> None:
    """D writes the tombstone and dies; the repetition knows from it which pages to sweep, and so does a reader."""
    for again in (Delete("s"), Read("s")):
        simulation = simulate([Read("t"), Delete("s")], before=[Append("s", "a", size=3), Append("s", "b", size=3)])
        simulation.complete("0.0")
        simulation.reach("0.1", "save session:s")
        simulation.step("0.1", Fault.ANSWER_LOST)
        simulation.replicas[0].sidecar.crash()
        simulation.finish()
        assert any(key.startswith("session:s:") for key in simulation.dapr.values())
        simulation.replicas[0] = simulation.start("another")
        simulation.ask(again)
        assert settled(simulation).deleted


def test_a_delete_sweeps_what_a_replace_with_a_lost_answer_left() -> None:
    """X's replace is done and its answer lost; D's tombstone takes over the epoch that X ended."""
    simulation = simulate([Replace("s", "X")], [Delete("s")], before=[Append("s", "a", size=3), Append("s", "b")])
    simulation.reach("0.0", "save session:s")
    simulation.step("0.0", Fault.ANSWER_LOST)
    simulation.complete("1.0")
    assert not any(key.startswith("session:s:") for key in simulation.dapr.values())
    simulation.complete("0.0")
    assert settled(simulation).deleted


def test_an_erase_does_not_lose_a_session_listed_meanwhile() -> None:
    """E reads the list; A lists t; E must walk again before it closes the list, or t would live on unlisted."""
    simulation = simulate([Erase("s")], [Append("t", "p")], before=[Append("s", "a")])
    simulation.reach("0.0", "save session:s")
    simulation.reach("1.0", "save session:t")
    assert simulation.complete("0.0").error is None
    simulation.complete("1.0")
    assert settled(simulation, "t").deleted
    assert not simulation.observer.now["s"].live


def test_a_first_turn_after_an_erase_revives_the_list() -> None:
    """A listing read before the erase and written after it fails on the etag; the session begun then is listed."""
    simulation = simulate([Append("t", "p")], [Erase("s")], before=[Append("s", "a")])
    simulation.reach("0.0", "save sessions-of:u")
    simulation.complete("1.0")
    assert simulation.complete("0.0").error is None
    assert simulation.ask(ListSessions("t")).answer == ["t"]
    assert settled(simulation, "t").turns == ["p"]


def test_an_erase_leaves_the_sessions_of_others() -> None:
    """Both u and v listed s, v's turn won; erasing u leaves it."""
    simulation = simulate([Append("s", "p", "u")], [Append("s", "q", "v")], [Erase("s", "u")])
    simulation.reach("0.0", "save session:s")
    simulation.complete("1.0")
    assert simulation.complete("0.0").error is not None
    simulation.complete("2.0")
    assert settled(simulation).owner == "v"


def test_an_erase_that_meets_a_claim_under_way_gets_the_session_too() -> None:
    """u claims an ownerless session that E has just passed: the claim fails on the etag and is listed anew."""
    simulation = simulate([Append("s", "p")], [Erase("s")], before=[Replace("s", "X")])
    simulation.reach("0.0", "save session:s")
    simulation.complete("1.0")
    assert simulation.complete("0.0").error is None
    assert simulation.ask(ListSessions("s")).answer == ["s"]
    assert settled(simulation).owner == "u"


def test_a_profile_change_in_flight_does_not_bring_an_erased_profile_back() -> None:
    """P reads the profile, E erases it, P's save fails on the etag: its second reading knows nothing of the old one."""
    simulation = simulate([ChangeGoal("s", goal="new")], [Erase("s")], before=[ChangeGoal("s", goal="secret")])
    simulation.reach("0.0", "save user:u")
    simulation.complete("1.0")
    assert simulation.dapr.values()["user:u"] == {}
    simulation.complete("0.0")
    profile: Document = {"name": "u", "preferred_style": "casual", "goal": "new"}
    assert simulation.dapr.values()["user:u"] == profile
    settled(simulation)


def test_a_summary_of_replaced_messages_is_refused() -> None:
    """S reads, X replaces, S offers a summary of what is no more: 409."""
    simulation = simulate([Summarize("s", "of old")], [Replace("s", "X")], before=[Append("s", "a"), Append("s", "b")])
    simulation.step("0.0")
    simulation.complete("1.0")
    error = simulation.complete("0.0").error
    assert error is not None
    assert (error.status, error.code) == (409, "summary_conflict")
    assert settled(simulation).summary is None


def test_an_attempt_given_up_on_writes_no_more() -> None:
    """A replace whose store hangs ends within its deadline, last call included; none of it comes after a later turn."""
    simulation = simulate([Replace("s", "X"), Append("s", "p")], before=[Append("s", "a")])
    while not simulation.records["0.0"].ended:
        simulation.tick()
    record, began = simulation.records["0.0"], simulation.loop.now
    assert record.error is not None
    assert record.error.status == 503
    assert began <= 3
    simulation.complete("0.1")
    assert settled(simulation).turns == ["a", "p"]


def test_epochs_are_drawn_anew_by_each_attempt() -> None:
    """Two attempts never share an epoch: sixteen hexadecimal digits at random."""
    epochs = {new_epoch() for _ in range(1_000)}
    assert len(epochs) == 1_000
    assert {len(epoch) for epoch in epochs} == {16}
