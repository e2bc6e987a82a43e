"""The shortest interleavings that break a store without the protocol's rules, one test for each rule."""

import pytest

from log.log_reader import Slice
from log.page_plan import new_epoch
from tests.fake_clients import Fault
from tests.read_workload import Read
from tests.rules_harness import Simulate, settled
from tests.workload import Append, Delete, Operation, Replace, Summarize


def test_a_turn_whose_answer_was_lost_is_found_in_the_pages(simulate: Simulate) -> None:
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


def test_writers_that_seal_the_same_page_write_the_same(simulate: Simulate) -> None:
    """A and B read one head and both write page 0; only what was read is in it, so neither loses its turn."""
    turns: list[list[Operation]] = [[Append("s", "p", size=3)], [Append("s", "q", size=3)]]
    simulation = simulate(*turns, before=[Append("s", "a", size=3)])
    simulation.reach("0.0", "save session:s:")
    simulation.reach("1.0", "save session:s:")
    assert simulation.complete("0.0").error is None
    simulation.step("1.0")
    assert simulation.complete("1.0").error is None
    assert settled(simulation).turns == ["a", "p", "q"]


def test_replaces_that_race_do_not_mix(simulate: Simulate) -> None:
    """X and Y read one head; the last to write wins whole, and what later seals is its own."""
    simulation = simulate([Replace("s", "X")], [Replace("s", "Y")], before=[Append("s", "a"), Append("s", "b")])
    simulation.reach("0.0", "save session:s")
    simulation.reach("1.0", "save session:s")
    simulation.complete("0.0")
    simulation.complete("1.0")
    simulation.ask(Append("s", "c"))
    assert [content for content, _ in settled(simulation).lines[:5]] == [f"Y.{number}" for number in range(5)]


@pytest.mark.parametrize("between", [Append("s", "p"), Replace("s", "Y")])
def test_a_replace_whose_answer_was_lost_is_not_done_again(simulate: Simulate, between: Operation) -> None:
    """X's save is done and its answer lost; what another client had acknowledged since then stays."""
    simulation = simulate([Replace("s", "X")], [between], before=[Append("s", "a")])
    simulation.reach("0.0", "save session:s")
    simulation.step("0.0", Fault.ANSWER_LOST)
    assert simulation.complete("1.0").error is None
    left = simulation.observer.now["s"]
    assert simulation.complete("0.0").error is None
    assert settled(simulation) == left


def test_a_replace_that_dies_leaves_nothing_unnamed(simulate: Simulate) -> None:
    """A replaced session names its old epoch until the pages are swept, whoever dies in between."""
    simulation = simulate([Replace("s", "X")], before=[Append("s", "a", size=3), Append("s", "b", size=3)])
    simulation.reach("0.0", "save session:s")
    simulation.step("0.0", Fault.ANSWER_LOST)
    simulation.crash(0)
    simulation.finish()
    simulation.ask(Delete("s"))
    assert settled(simulation).deleted


def test_a_delete_that_dies_is_finished_by_its_repetition(simulate: Simulate) -> None:
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


def test_a_delete_sweeps_what_a_replace_with_a_lost_answer_left(simulate: Simulate) -> None:
    """X's replace is done and its answer lost; D's tombstone takes over the epoch that X ended."""
    simulation = simulate([Replace("s", "X")], [Delete("s")], before=[Append("s", "a", size=3), Append("s", "b")])
    simulation.reach("0.0", "save session:s")
    simulation.step("0.0", Fault.ANSWER_LOST)
    simulation.complete("1.0")
    assert not any(key.startswith("session:s:") for key in simulation.dapr.values())
    simulation.complete("0.0")
    assert settled(simulation).deleted


def test_a_summary_of_replaced_messages_is_refused(simulate: Simulate) -> None:
    """S reads, X replaces, S offers a summary of what is no more: 409."""
    simulation = simulate([Summarize("s", "of old")], [Replace("s", "X")], before=[Append("s", "a"), Append("s", "b")])
    simulation.step("0.0")
    simulation.complete("1.0")
    error = simulation.complete("0.0").error
    assert error is not None
    assert (error.status, error.code) == (409, "summary_conflict")
    assert settled(simulation).summary is None


def test_an_attempt_given_up_on_writes_no_more(simulate: Simulate) -> None:
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


@pytest.mark.parametrize("asked", [Append("s", "a", size=3), Read("s")])
def test_what_races_a_delete_is_told_of_it(simulate: Simulate, asked: Operation) -> None:
    """A repetition or a reader reads the head, D deletes and sweeps, the page is gone: deleted, not damaged."""
    simulation = simulate([asked], [Delete("s")], before=[Append("s", "a", size=3), Append("s", "b", size=3)])
    simulation.reach("0.0", "bulk")
    simulation.complete("1.0")
    error = simulation.complete("0.0").error
    assert error is not None
    assert (error.status, error.code) == (410, "session_deleted")
    assert settled(simulation).deleted


def test_a_read_that_races_a_replace_returns_what_was(simulate: Simulate) -> None:
    """R reads the head, X replaces it, R reads the pages: the history before, whole."""
    simulation = simulate([Read("s")], [Replace("s", "X")], before=[Append("s", "a", size=3), Append("s", "b", size=3)])
    simulation.reach("0.0", "bulk")
    simulation.complete("1.0")
    answer = simulation.complete("0.0").answer
    assert isinstance(answer, Slice)
    assert [entry["content"] for entry in answer.entries] == ["a.0", "a.1", "a.2", "b.0", "b.1", "b.2"]
    assert settled(simulation).turns == []


def test_epochs_are_drawn_anew_by_each_attempt() -> None:
    """Two attempts never share an epoch: sixteen hexadecimal digits at random."""
    epochs = {new_epoch() for _ in range(1_000)}
    assert len(epochs) == 1_000
    assert {len(epoch) for epoch in epochs} == {16}
