"""What nobody asks for any more is finished by the due list: sweeps, and erases that were interrupted."""

import asyncio
from contextlib import suppress

import pytest

import clock
from documents import Document
from erasure import ERASE
from errors import ServiceError
from keys import due_key
from log.sweeps import SWEEP_AFTER_SECONDS
from tests.fake_clients import Fault, named
from tests.fake_time import run, skip
from tests.rules_harness import Simulate, settled
from tests.service_under_test import Service
from tests.simulation import Simulation
from tests.user_workload import ChangeGoal, Erase, Initialize, Listed, ListSessions
from tests.workload import Append, Delete, Operation, Replace

LONG = [Append("s", "a", size=3), Append("s", "b", size=3)]
"""A session with pages."""
WORST_CASE_SECONDS = 66 * 60
"""How long anything erased can be in the store, in seconds, if the store responds and a replica runs: the last sweep
comes an hour after the erase, and each of four sweeps waits for its minute and for a pass of the worker.
docs/architecture.md states this number."""
DIES_WITHIN_SECONDS = 6 * 60
"""How long an erase that was interrupted takes to be finished, in seconds: a minute until it is due, the lease of a
worker that dies too, and passes."""


def pages(simulation: Simulation) -> list[str]:
    return [key for key in simulation.dapr.values() if key.count(":") == 3]


@pytest.mark.slow
@pytest.mark.parametrize("late_seconds", [1, 4 * 60, 14 * 60, 59 * 60])
@pytest.mark.parametrize("ending", [Erase("s"), Delete("s"), Replace("s", "X", size=1)])
def test_a_page_that_lands_late_is_gone_in_time(simulate: Simulate, ending: Operation, late_seconds: int) -> None:
    """A's page is on its way when its epoch ends, and lands up to an hour later. Nobody asks for the session again."""
    simulation = simulate([Append("s", "p", size=3)], [ending], before=LONG)
    simulation.loop.now += 1  # just after the beginning of a minute, the worst time
    simulation.reach("0.0", "save session:s:")
    simulation.step("0.0", Fault.LATE)
    simulation.crash(0)
    simulation.lands_within_seconds = late_seconds
    simulation.complete("1.0")
    ended = simulation.loop.now
    simulation.work(late_seconds + 1)
    assert not simulation.schedule.late
    simulation.work(ended + WORST_CASE_SECONDS - simulation.loop.now)
    assert pages(simulation) == []
    assert settled(simulation) == simulation.observer.now["s"]


@pytest.mark.slow
@pytest.mark.parametrize("late_seconds", [4 * 60, 58 * 60])
def test_a_bucket_that_lands_late_is_done(simulate: Simulate, late_seconds: int) -> None:
    """Its minute was done long ago. It would stay for months, with a user's id."""
    simulation = simulate([Erase("s")], [ListSessions("s")], before=LONG)
    simulation.reach("0.0", "save due:3")  # the key of a minute
    simulation.step("0.0", Fault.LATE)
    simulation.crash(0)
    simulation.lands_within_seconds = late_seconds
    simulation.finish_what_is_due()


def test_a_bucket_that_lands_late_is_looked_at_until_it_is_done(service: Service) -> None:
    """The store fails at the second look: the next pass finds the bucket leased, and a later one does it."""

    async def scenario() -> None:
        await service.memory.due_worker.run_pass()
        bucket = due_key(int(clock.now()) // 60, 0)
        await skip(10 * 60)
        await service.memory.due_worker.run_pass()
        service.dapr.seed(bucket, {"items": [[ERASE, "u", 0, "", 0]]})
        failing = iter([Fault.REQUEST_LOST])
        service.sidecar.faults = lambda request: (
            next(failing, Fault.NONE) if named(request) == f"delete {bucket}" else Fault.NONE
        )
        for _ in range(4 * 60):
            await asyncio.sleep(15)
            with suppress(ServiceError):
                await service.memory.due_worker.run_pass()
        assert next(failing, None) is None
        assert service.dapr.live(bucket) is None

    run(scenario())


def test_the_sweeps_cover_an_hour() -> None:
    """The tests above rest on the schedule: a minute, five, fifteen, and an hour."""
    assert SWEEP_AFTER_SECONDS == (60, 300, 900, 3600)


def test_a_first_turn_that_lands_after_its_delete_is_refused(simulate: Simulate) -> None:
    """A's first head gets no response, D deletes the session, which is still absent, then A's head lands."""
    simulation = simulate([Append("s", "p")], [Delete("s")])
    simulation.reach("0.0", "save session:s")
    simulation.step("0.0", Fault.LATE)
    simulation.crash(0)
    assert simulation.complete("1.0").error is None
    simulation.land(0)
    assert settled(simulation).deleted


def everything_of_a_user() -> tuple[list[Operation], dict[str, Document]]:
    """Eight sessions, so that their list has pages; one session has pages too. And a profile."""
    profile: Document = {"name": "Ann", "preferred_style": "formal", "goal": "secret"}
    return [*LONG, *(Append(f"s{number}", "t") for number in range(7))], {"user:u": profile}


def calls_of_an_erase(simulate: Simulate) -> int:
    sessions, seeds = everything_of_a_user()
    simulation = simulate([Erase("s")], before=sessions, seeds=seeds)
    before = len(simulation.schedule.trace)
    simulation.complete("0.0")
    return len(simulation.schedule.trace) - before


def is_erased(simulation: Simulation) -> bool:
    """Whether nothing of the user is left except contentless tombstones."""
    values = simulation.dapr.values()
    gone = values["user:u"] == {} and not pages(simulation)
    return gone and all(view.deleted for view in simulation.observer.now.values())


@pytest.mark.slow
def test_an_erase_that_dies_anywhere_is_finished(simulate: Simulate) -> None:
    """The process dies at each call of an erase, and nobody repeats it. It has no effect, or it is finished in time."""
    sessions, seeds = everything_of_a_user()
    finished = 0
    for calls in range(calls_of_an_erase(simulate)):
        simulation = simulate([Erase("s")], before=sessions, seeds=seeds)
        for _ in range(calls):
            simulation.let(0)
        simulation.replicas[0].sidecar.crash()
        frozen = "erasing" in str(simulation.dapr.values()["sessions-of:u"])
        simulation.finish()
        simulation.work(DIES_WITHIN_SECONDS)
        if frozen or is_erased(simulation):
            assert is_erased(simulation), f"after {calls} calls"
            finished += 1
        else:
            assert simulation.dapr.values()["user:u"] == seeds["user:u"]
            assert all(view.live for view in simulation.observer.now.values())
        settled(simulation)
    assert finished > calls / 2


def test_a_worker_that_dies_is_replaced(simulate: Simulate) -> None:
    """The process that finishes an erase dies in the middle too. Another one takes its lease over."""
    sessions, seeds = everything_of_a_user()
    simulation = simulate([Erase("s")], [ListSessions("s")], before=sessions, seeds=seeds)
    simulation.reach("0.0", "save session:s2")
    simulation.replicas[0].sidecar.crash()
    simulation.wait(130)
    simulation.replicas[0] = simulation.start("started again")
    simulation.start_pass(0)
    simulation.reach(f"pass {len(simulation.records) - 1}", "save session:s3")
    simulation.replicas[0].sidecar.crash()
    simulation.finish()
    assert not is_erased(simulation)
    simulation.work(DIES_WITHIN_SECONDS)
    assert is_erased(simulation)
    settled(simulation)


def test_an_erase_finished_later_leaves_what_came_since(simulate: Simulate) -> None:
    """E freezes the list and dies. The user comes back: the new session and the new profile stay."""
    sessions, seeds = everything_of_a_user()
    back: list[Operation] = [Initialize("s", goal="new"), Append("new", "p"), Append("new2", "p")]
    simulation = simulate([Erase("s")], back, before=sessions, seeds=seeds)
    simulation.reach("0.0", "save user:u")
    simulation.replicas[0].sidecar.crash()
    for step in range(len(back)):
        assert simulation.complete(f"1.{step}").error is None
    simulation.finish()
    simulation.work(DIES_WITHIN_SECONDS)
    assert {name for name, view in simulation.observer.now.items() if view.live} == {"new", "new2"}
    profile = simulation.dapr.values()["user:u"]
    assert isinstance(profile, dict)
    assert profile["goal"] == "new"
    assert simulation.request(ListSessions("new")).result == Listed(["new2", "new"])
    settled(simulation)


def test_an_erase_repeated_includes_what_came_since(simulate: Simulate) -> None:
    """E freezes the list and dies. The user comes back and erases again: everything goes."""
    sessions, seeds = everything_of_a_user()
    back: list[Operation] = [ChangeGoal("s"), Append("new", "p"), Erase("s")]
    simulation = simulate([Erase("s")], back, before=sessions, seeds=seeds)
    simulation.reach("0.0", "save session:s2")
    simulation.replicas[0].sidecar.crash()
    for step in range(len(back)):
        assert simulation.complete(f"1.{step}").error is None
    assert is_erased(simulation)
    settled(simulation)
