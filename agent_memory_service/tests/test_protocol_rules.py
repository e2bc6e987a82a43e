"""The shortest interleavings that would break a store without the rules of the protocol, one test for each rule."""

import pytest

from log.log_reader import Slice
from log.page_plan import new_epoch
from tests.fake_clients import Fault
from tests.read_workload import Read, Recollect
from tests.rules_harness import Simulate, settled
from tests.simulation import Simulation
from tests.store_kinds import StoreKind
from tests.user_workload import ListSessions
from tests.verdict import judge
from tests.workload import Append, Delete, Operation, Replace, Summarize


def test_a_turn_whose_response_was_lost_is_found_in_the_pages(simulate: Simulate) -> None:
    """A's save is done, its response is lost, B and C seal the turn. A finds it in a page and does not add it again."""
    simulation = simulate([Append("s", "p")], [Append("s", "q"), Append("s", "r")], before=[Append("s", "a")])
    simulation.reach("0.0", "save session:s")
    simulation.step("0.0", Fault.RESPONSE_LOST)
    simulation.complete("1.0")
    simulation.complete("1.1")
    assert simulation.observer.now["s"].sealed == 4
    record = simulation.complete("0.0")
    assert record.error is None
    assert settled(simulation).turns == ["a", "p", "q", "r"]


def test_a_turn_is_found_after_300_turns_of_others_in_the_pause_of_a_retry(simulate: Simulate) -> None:
    """A's save is done, its response is lost, and B adds 300 turns before A's retry. A finds its own turn."""
    others = [Append("s", f"q{number}", size=1) for number in range(300)]
    simulation = simulate([Append("s", "p")], others, before=[Append("s", "a")])
    simulation.reach("0.0", "save session:s")
    simulation.step("0.0", Fault.RESPONSE_LOST)
    for number in range(300):
        simulation.complete(f"1.{number}")
    record = simulation.complete("0.0")
    assert record.error is None
    assert settled(simulation).turns.count("p") == 1


def test_writers_that_seal_the_same_page_write_the_same(simulate: Simulate) -> None:
    """A and B read the same head and write page 0. It has only entries of that head, so no turn is lost."""
    turns: list[list[Operation]] = [[Append("s", "p", size=3)], [Append("s", "q", size=3)]]
    simulation = simulate(*turns, before=[Append("s", "a", size=3)])
    simulation.reach("0.0", "save session:s:")
    simulation.reach("1.0", "save session:s:")
    assert simulation.complete("0.0").error is None
    simulation.step("1.0")
    assert simulation.complete("1.0").error is None
    assert settled(simulation).turns == ["a", "p", "q"]


def test_replaces_that_race_do_not_mix(simulate: Simulate) -> None:
    """X and Y read the same head. The last write wins as a whole, and later pages are its own."""
    simulation = simulate([Replace("s", "X")], [Replace("s", "Y")], before=[Append("s", "a"), Append("s", "b")])
    simulation.reach("0.0", "save session:s")
    simulation.reach("1.0", "save session:s")
    simulation.complete("0.0")
    simulation.complete("1.0")
    simulation.request(Append("s", "c"))
    assert [content for content, _ in settled(simulation).lines[:5]] == [f"Y.{number}" for number in range(5)]


@pytest.mark.parametrize("between", [Append("s", "p"), Replace("s", "Y")])
def test_a_replace_whose_response_was_lost_is_not_done_again(simulate: Simulate, between: Operation) -> None:
    """X's save is done and its response is lost. A later acknowledged write of another client stays."""
    simulation = simulate([Replace("s", "X")], [between], before=[Append("s", "a")])
    simulation.reach("0.0", "save session:s")
    simulation.step("0.0", Fault.RESPONSE_LOST)
    assert simulation.complete("1.0").error is None
    left = simulation.observer.now["s"]
    assert simulation.complete("0.0").error is None
    assert settled(simulation) == left


def test_a_replace_that_dies_leaves_nothing_unnamed(simulate: Simulate) -> None:
    """A replaced session names its old epoch until the pages are swept, also if the process dies before."""
    simulation = simulate([Replace("s", "X")], before=[Append("s", "a", size=3), Append("s", "b", size=3)])
    simulation.reach("0.0", "save session:s")
    simulation.step("0.0", Fault.RESPONSE_LOST)
    simulation.crash(0)
    simulation.finish()
    simulation.request(Delete("s"))
    assert settled(simulation).deleted


def test_a_delete_that_dies_is_finished_by_its_repetition(simulate: Simulate) -> None:
    """D writes the tombstone and dies. A repeated delete and a read both finish the sweep."""
    for again in (Delete("s"), Read("s")):
        simulation = simulate([Read("t"), Delete("s")], before=[Append("s", "a", size=3), Append("s", "b", size=3)])
        simulation.complete("0.0")
        simulation.reach("0.1", "save session:s")
        simulation.step("0.1", Fault.RESPONSE_LOST)
        simulation.replicas[0].sidecar.crash()
        simulation.finish()
        assert any(key.startswith("session:s:") for key in simulation.dapr.values())
        simulation.replicas[0] = simulation.start("another")
        simulation.request(again)
        assert settled(simulation).deleted


def test_a_delete_sweeps_what_a_replace_with_a_lost_response_left(simulate: Simulate) -> None:
    """X's replace is done and its response is lost. D's tombstone names the epoch that X ended, too."""
    simulation = simulate([Replace("s", "X")], [Delete("s")], before=[Append("s", "a", size=3), Append("s", "b")])
    simulation.reach("0.0", "save session:s")
    simulation.step("0.0", Fault.RESPONSE_LOST)
    simulation.complete("1.0")
    assert not any(key.startswith("session:s:") for key in simulation.dapr.values())
    simulation.complete("0.0")
    assert settled(simulation).deleted


def test_a_summary_of_replaced_messages_is_refused(simulate: Simulate) -> None:
    """S reads, X replaces, S sends a summary of the old messages: 409."""
    simulation = simulate([Summarize("s", "of old")], [Replace("s", "X")], before=[Append("s", "a"), Append("s", "b")])
    simulation.step("0.0")
    simulation.complete("1.0")
    error = simulation.complete("0.0").error
    assert error is not None
    assert (error.status, error.code) == (409, "summary_conflict")
    assert settled(simulation).summary is None


def test_an_attempt_given_up_on_writes_no_more(simulate: Simulate) -> None:
    """A replace on a store that hangs ends within its deadline, and nothing of it is written after a later turn."""
    simulation = simulate([Replace("s", "X"), Append("s", "p")], before=[Append("s", "a")])
    while not simulation.records["0.0"].ended:
        simulation.tick()
    record, began = simulation.records["0.0"], simulation.loop.now
    assert record.error is not None
    assert record.error.status == 503
    assert began <= 3
    simulation.complete("0.1")
    assert settled(simulation).turns == ["a", "p"]


@pytest.mark.parametrize("operation", [Append("s", "a", size=3), Read("s")])
def test_an_operation_that_races_a_delete_gets_410(simulate: Simulate, operation: Operation) -> None:
    """An operation reads the head, then D deletes and sweeps its page. The outcome is "deleted", not "damaged"."""
    simulation = simulate([operation], [Delete("s")], before=[Append("s", "a", size=3), Append("s", "b", size=3)])
    simulation.reach("0.0", "bulk")
    simulation.complete("1.0")
    error = simulation.complete("0.0").error
    assert error is not None
    assert (error.status, error.code) == (410, "session_deleted")
    assert settled(simulation).deleted


def test_a_read_that_races_a_replace_returns_what_was(simulate: Simulate) -> None:
    """R reads the head, X replaces it, R reads the pages: R returns the whole old history."""
    simulation = simulate([Read("s")], [Replace("s", "X")], before=[Append("s", "a", size=3), Append("s", "b", size=3)])
    simulation.reach("0.0", "bulk")
    simulation.complete("1.0")
    result = simulation.complete("0.0").result
    assert isinstance(result, Slice)
    assert [entry["content"] for entry in result.entries] == ["a.0", "a.1", "a.2", "b.0", "b.1", "b.2"]
    assert settled(simulation).turns == []


def test_epochs_are_drawn_anew_by_each_attempt() -> None:
    """Two attempts never share an epoch: it is sixteen random hexadecimal digits."""
    epochs = {new_epoch() for _ in range(1_000)}
    assert len(epochs) == 1_000
    assert {len(epoch) for epoch in epochs} == {16}


def test_a_head_that_is_kept_between_two_attempts_removes_no_page(simulate: Simulate) -> None:
    """A and B seal the same page, B wins. Then somebody takes s for new at A. A's next attempt decides on a read."""
    turns: list[list[Operation]] = [[Append("s", "p")], [Append("s", "q")]]
    simulation = simulate(*turns, before=[Append("s", "a"), Append("s", "b")])
    simulation.reach("0.0", "save session:s:")
    simulation.step("0.0")
    assert simulation.complete("1.0").error is None
    assert simulation.request(Recollect("s", "v", is_new=True)).error is None
    assert simulation.complete("0.0").error is None
    assert settled(simulation).turns == ["a", "b", "q", "p"]


@pytest.mark.usefixtures("tiny_pages")
def test_what_an_earlier_round_admitted_counts_no_more(kind: StoreKind) -> None:
    """A's first round announces pages. A replace lands. Then the batch has no room for z, which must not be reported.

    In the first round x was a repeat, which takes no room.
    """
    programs: list[list[Operation]] = [
        [Append("s", "a", size=1)],
        [Replace("s", "r", size=1)],
        [Append("s", "x", size=2)],
        [ListSessions("s")],
        [Append("s", "z", size=2)],
    ]
    simulation = Simulation(programs, [Append("s", "x", size=2), Append("s", "y", size=1)], kind=kind)
    simulation.reach("0.0", "save session:s")
    simulation.step("0.0")
    simulation.complete("1.0")
    simulation.finish()
    simulation.close()
    judge(simulation)
    assert simulation.observer.now["s"].turns == ["a", "x", "z"]
