"""What a sweep must remove: pages of dead or late writers, and never the pages of a log in use."""

import pytest

from tests.fake_clients import Fault
from tests.fake_wire import JSON
from tests.read_workload import Read
from tests.rules_harness import Simulate, settled
from tests.simulation import Simulation
from tests.user_workload import Erase, Listed, ListSessions
from tests.workload import Append, Delete, Operation, Replace

OLD: JSON = {
    "history": [{"role": "user", "content": f"old {number}", "timestamp": "2025-04-07"} for number in range(9)]
}


def pages_of(simulation: Simulation, session: str) -> list[str]:
    return [key for key in simulation.dapr.values() if key.startswith(f"session:{session}:")]


def test_a_delete_sweeps_the_pages_of_a_writer_that_died(simulate: Simulate) -> None:
    """A writes the pages of a long head and dies before it writes the head. D's tombstone counts them all."""
    simulation = simulate([Append("s", "p")], [Append("t", "q"), Delete("s")], seeds={"session:s": OLD})
    simulation.reach("0.0", "save session:s:0:0")
    simulation.step("0.0", Fault.RESPONSE_LOST)
    simulation.replicas[0].sidecar.crash()
    assert len(pages_of(simulation, "s")) == 3
    simulation.complete("1.0")
    simulation.complete("1.1")
    assert pages_of(simulation, "s") == []
    assert settled(simulation).deleted


def test_a_page_that_lands_late_is_swept(simulate: Simulate) -> None:
    """A's page reaches the store a second after D swept, and A is dead. The second sweep removes it."""
    before = [Append("s", "a", size=3), Append("s", "b")]
    simulation = simulate([Append("s", "p")], [Delete("s")], before=before)
    simulation.reach("0.0", "save session:s:")
    simulation.complete("1.0")
    simulation.replicas[0].sidecar.crash()
    while not pages_of(simulation, "s"):
        assert simulation.tick()
    assert settled(simulation).deleted


def test_a_delete_soon_after_a_replace_is_swept_and_expires(simulate: Simulate) -> None:
    """A background sweep of the replace under way does not replace the sweep of the tombstone."""
    before = [Append("s", "a", size=3), Append("s", "b")]
    simulation = simulate([Replace("s", "X"), Delete("s")], before=before)
    simulation.complete("0.0")
    simulation.complete("0.1")
    assert settled(simulation).deleted


@pytest.mark.parametrize("ending", [Delete("s"), Erase("s")])
def test_what_was_replaced_just_before_is_gone_at_once(simulate: Simulate, ending: Operation) -> None:
    """A replace leaves its pages to the due list. A delete or an erase that follows removes them before it returns."""
    filled: list[Operation] = [Append("s", "a", size=3), Append("s", "b", size=3)]
    before = [*filled, Replace("s", "X"), Append("s", "c"), Replace("s", "Y")]
    simulation = simulate([ending], before=before)
    epochs = {page.rsplit(":", 2)[1] for page in pages_of(simulation, "s")}
    assert len(epochs) == 2
    assert simulation.complete("0.0").error is None
    assert pages_of(simulation, "s") == []
    assert settled(simulation).deleted


@pytest.mark.parametrize("ending", [Delete("s"), Erase("s")])
def test_a_repeated_delete_removes_what_was_replaced_before(simulate: Simulate, ending: Operation) -> None:
    """D writes the tombstone after a replace, and dies before it removes the old pages. Its repetition removes them."""
    before: list[Operation] = [Append("s", "a", size=3), Append("s", "b", size=3), Replace("s", "X")]
    simulation = simulate([ending], before=before)
    simulation.reach("0.0", "delete session:s:")
    simulation.crash(0)
    assert pages_of(simulation, "s")
    assert simulation.complete("0.0 again").error is None
    assert pages_of(simulation, "s") == []
    assert settled(simulation).deleted


def test_no_page_is_written_that_no_head_announced(simulate: Simulate) -> None:
    """A seals a long history that a replace wrote, and dies between the pages and the head. D removes them all."""
    before: list[Operation] = [Append("s", "a"), Replace("s", "X", size=9)]
    simulation = simulate([Append("s", "p")], [Delete("s")], before=before)
    simulation.reach("0.0", "save session:s:")
    simulation.step("0.0", Fault.RESPONSE_LOST)
    simulation.replicas[0].sidecar.crash()
    assert len(pages_of(simulation, "s")) == 3
    assert simulation.complete("1.0").error is None
    assert pages_of(simulation, "s") == []
    assert settled(simulation).deleted


def test_a_list_revived_before_it_was_swept_keeps_its_new_pages(simulate: Simulate) -> None:
    """The sweep of an erased list removes pages of its epoch only. The new list has another epoch."""
    sessions = [[f"{name}{number}" for number in range(7)] for name in "ab"]
    old, new = [[Append(session, "p") for session in part] for part in sessions]
    simulation = simulate([Erase("a0"), *new], before=old)
    for step in range(len(new) + 1):
        simulation.complete(f"0.{step}")
    simulation.finish()
    assert simulation.request(ListSessions("b0")).result == Listed(sessions[1][::-1])
    assert settled(simulation, "a0").deleted


def test_a_revived_list_names_what_a_dead_erase_left_to_sweep(simulate: Simulate) -> None:
    """The process of an erase dies before the list's pages are swept. The new list names their epoch."""
    sessions = [f"a{number}" for number in range(7)]
    simulation = simulate([Erase("a0"), Append("b", "p")], before=[Append(session, "p") for session in sessions])
    simulation.complete("0.0")
    simulation.crash(0)
    simulation.finish()
    for session in sessions:
        simulation.request(Read(session))
    assert settled(simulation, "b").turns == ["p"]


def test_a_session_listed_twice_is_returned_once(simulate: Simulate) -> None:
    """A and B both list the session before either starts it. Only the entry that its head names counts."""
    simulation = simulate([Append("s", "p")], [Append("s", "q")])
    simulation.reach("0.0", "save session:s")
    simulation.complete("1.0")
    simulation.complete("0.0")
    assert simulation.request(ListSessions("s")).result == Listed(["s"])
    assert settled(simulation).turns == ["q", "p"]


def test_a_sweep_leaves_an_epoch_that_did_not_end(simulate: Simulate) -> None:
    """A replace registers the sweeps of the old epoch and dies before it writes the head. The session stays whole."""
    before = [Append("s", "a", size=3), Append("s", "b", size=3)]
    simulation = simulate([Replace("s", "X")], before=before)
    simulation.reach("0.0", "save session:s")
    simulation.step("0.0", Fault.REQUEST_LOST)
    simulation.replicas[0].sidecar.crash()
    kept = pages_of(simulation, "s")
    assert kept
    simulation.finish()
    assert simulation.buckets()
    assert settled(simulation).turns == ["a", "b"]
    assert pages_of(simulation, "s") == kept
