"""The shortest interleavings in which an erase could lose data or erase too much, one test for each rule."""

from dataclasses import dataclass

import httpx
import pytest

import erasure
from documents import Document
from erasure import ERASE
from log.due_list import DueItem
from memory import Memory
from tests.fake_clients import Fault, is_write, named
from tests.fake_dapr import Commit
from tests.fake_time import run
from tests.fake_wire import JSON
from tests.rules_harness import Simulate, settled
from tests.service_under_test import Service
from tests.simulation import Simulation
from tests.user_workload import ChangeGoal, DuePass, Erase, Initialize, Listed, ListSessions
from tests.workload import Append, Delete, Operation, Replace

PROFILE: dict[str, JSON] = {"name": "Ann", "preferred_style": "formal", "goal": "secret"}


@dataclass(frozen=True)
class ResumeErase(DuePass):
    """What the worker does of an erase that is due."""

    async def run(self, memory: Memory) -> None:
        await memory.erasure.resume(DueItem(ERASE, "u"))


def test_an_erase_stops_a_first_turn_that_was_listed_before(simulate: Simulate) -> None:
    """A lists t, then E freezes the list. E's tombstone over the absent t refuses A's head."""
    simulation = simulate([Erase("s")], [Append("t", "p")], before=[Append("s", "a")])
    simulation.reach("1.0", "save session:t")
    assert simulation.complete("0.0").error is None
    error = simulation.complete("1.0").error
    assert error is not None
    assert error.status == 410
    assert settled(simulation, "t").deleted
    assert not simulation.observer.now["s"].live


def test_an_erase_leaves_what_came_after_its_freeze(simulate: Simulate) -> None:
    """E freezes the list, then A lists and starts t. E closes the list: t stays in a new one, alone."""
    simulation = simulate([Erase("s")], [Append("t", "p")], before=[Append("s", "a")])
    simulation.reach("0.0", "save session:s")
    assert simulation.complete("1.0").error is None
    assert simulation.complete("0.0").error is None
    assert simulation.request(ListSessions("t")).result == Listed(["t"])
    assert "session_id': 's'" not in str(simulation.dapr.values())
    assert settled(simulation, "t").turns == ["p"]
    assert simulation.observer.now["s"].deleted


def test_a_long_erase_that_the_worker_finished_leaves_what_came_since(
    simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E takes minutes, so a worker does its rest and closes the list. E ends there: what is listed now is newer."""
    monkeypatch.setattr(erasure, "ENTRIES_AT_ONCE", 2)
    sessions = [Append(session, "a") for session in "klmnotuvwxyz"]
    simulation = simulate([Erase("s")], [ResumeErase("s"), Append("s", "p"), ChangeGoal("s")], before=sessions)
    simulation.reach("0.0", "save session:")
    for name in ("1.0", "1.1", "1.2", "0.0"):
        assert simulation.complete(name).error is None
    assert simulation.request(ListSessions("s")).result == Listed(["s"])
    assert simulation.dapr.value("user:u") != {}
    assert settled(simulation).turns == ["p"]
    assert not simulation.observer.now["z"].live


def interrupted_erase(simulation: Simulation, replica: int) -> None:
    """Have an erase freeze the list and die."""
    simulation.reach(f"{replica}.0", "save sessions-of:u")
    simulation.step(f"{replica}.0")
    simulation.replicas[replica].sidecar.crash()


@pytest.mark.parametrize("before", [[], [Replace("s", "X")]])
def test_a_session_that_began_after_the_freeze_stays(simulate: Simulate, before: list[Operation]) -> None:
    """Its first turn failed once it was listed, and is repeated after the freeze. The older entry does not count.

    The same with the tutorial's history, which the turn claims.
    """
    simulation = simulate([Append("s", "p")], [Erase("t")], [Append("s", "q")], before=[Append("t", "a"), *before])
    simulation.reach("0.0", "save session:s")
    simulation.replicas[0].sidecar.crash()
    interrupted_erase(simulation, 1)
    assert simulation.complete("2.0").error is None
    assert settled(simulation).turns == ["q"]
    assert simulation.observer.now["t"].deleted


def test_erases_at_once_do_not_end_each_others_freeze(simulate: Simulate) -> None:
    """E closes the list, without a response. The user begins t, F freezes the list and dies. E closes once more."""
    simulation = simulate([Erase("s")], [Erase("s")], [Append("t", "p")], before=[Append("s", "a")])
    simulation.reach("0.0", "save user:u")
    simulation.reach("1.0", "get sessions-of:u")
    simulation.reach("0.0", "save sessions-of:u")
    simulation.step("0.0", Fault.ERROR_DONE)
    assert simulation.complete("2.0").error is None
    interrupted_erase(simulation, 1)
    assert simulation.complete("0.0").error is None
    settled(simulation)
    live = simulation.observer.now["t"].live
    assert simulation.request(ListSessions("t")).result == Listed(["t"] * live)


def test_a_tombstone_of_an_erase_gets_the_ttl_that_was_lost(simulate: Simulate) -> None:
    """The store dies between the tombstone and its TTL. A retry writes both again."""
    simulation = simulate([Erase("s")], before=[Append("s", "a")])
    simulation.reach("0.0", "save session:s")
    simulation.step("0.0", Fault.TTL_LOST)
    assert simulation.complete("0.0").error is None
    assert simulation.dapr.entries["session:s"].expires_at is not None


def test_a_mark_of_a_turn_in_flight_goes_with_its_session(simulate: Simulate) -> None:
    """A has marked s in the frozen list. The erase reaches s first: the list of the erased user names nothing."""
    before = [Append("s", "a"), Append("t", "b")]
    simulation = simulate([Erase("s")], [Append("s", "p")], before=before, pause_seconds=5.0)
    simulation.reach("0.0", "save user:u")
    simulation.reach("1.0", "save session:s")
    assert simulation.complete("0.0").error is None
    assert simulation.complete("1.0").error is not None
    settled(simulation)
    assert "session_id" not in str(simulation.dapr.value("sessions-of:u"))


def test_a_freeze_that_lands_late_is_finished(simulate: Simulate) -> None:
    """E dies with its freeze on its way. It lands after 45 minutes, when nobody had anything to finish for long."""
    simulation = simulate([Erase("s")], before=[Append("s", "a")])
    simulation.reach("0.0", "save sessions-of:u")
    simulation.step("0.0", Fault.LATE)
    simulation.replicas[0].sidecar.crash()
    simulation.lands_within_seconds = 45 * 60
    assert settled(simulation).deleted


@pytest.mark.parametrize("before", [[], [Append("s", "a"), Erase("s")]])
def test_an_interrupted_erase_of_a_user_without_sessions_is_finished(
    simulate: Simulate, before: list[Operation]
) -> None:
    """E has frozen the list, which is empty, and dies before it erases the profile."""
    simulation = simulate([Erase("s")], before=before)
    simulation.dapr.seed("user:u", PROFILE)
    simulation.reach("0.0", "save sessions-of:u")
    simulation.step("0.0")
    simulation.replicas[0].sidecar.crash()
    assert simulation.complete("0.0").error is not None
    settled(simulation)
    assert simulation.dapr.value("user:u") == {}


def test_a_first_turn_after_an_erase_revives_the_list(simulate: Simulate) -> None:
    """A adds to the list it read before the erase: the etag refuses it, and the retry starts a new list."""
    simulation = simulate([Append("t", "p")], [Erase("s")], before=[Append("s", "a")])
    simulation.reach("0.0", "save sessions-of:u")
    simulation.complete("1.0")
    assert simulation.complete("0.0").error is None
    assert simulation.request(ListSessions("t")).result == Listed(["t"])
    assert settled(simulation, "t").turns == ["p"]


def test_an_entry_that_lands_after_a_second_erase_is_refused(simulate: Simulate) -> None:
    """A reads the tombstone of the list, E erases the user once more, then A's entry lands: the list stays empty."""
    simulation = simulate([Append("t", "p")], [Erase("s")], before=[Append("s", "a"), Erase("s")])
    simulation.reach("0.0", "save sessions-of:u")
    simulation.step("0.0", Fault.LATE)
    simulation.replicas[0].sidecar.crash()
    assert simulation.complete("1.0").error is None
    simulation.land(0)
    assert "'t'" not in str(simulation.dapr.values()["sessions-of:u"])
    settled(simulation, "t")


def test_an_erase_leaves_the_sessions_of_others(simulate: Simulate) -> None:
    """Both u and v listed s, and v's turn won. Erasing u leaves s."""
    simulation = simulate([Append("s", "p", "u")], [Append("s", "q", "v")], [Erase("s", "u")])
    simulation.reach("0.0", "save session:s")
    simulation.complete("1.0")
    assert simulation.complete("0.0").error is not None
    simulation.complete("2.0")
    assert settled(simulation).owner == "v"


def test_an_erase_that_meets_a_claim_under_way_gets_the_session_too(simulate: Simulate) -> None:
    """u claims an ownerless session that E has passed. The etag refuses the claim, and the retry lists it again."""
    simulation = simulate([Append("s", "p")], [Erase("s")], before=[Replace("s", "X", size=1)])
    simulation.reach("0.0", "save session:s")
    simulation.complete("1.0")
    assert simulation.complete("0.0").error is None
    assert simulation.request(ListSessions("s")).result == Listed(["s"])
    assert settled(simulation).owner == "u"


def test_a_profile_change_in_flight_does_not_bring_an_erased_profile_back(simulate: Simulate) -> None:
    """P reads the profile, E erases it, and the etag refuses P's save. The retry starts from the default."""
    old: Document = {"name": "Ann", "preferred_style": "formal", "goal": "secret"}
    simulation = simulate([ChangeGoal("s", goal="new")], [Erase("s")], seeds={"user:u": old})
    simulation.reach("0.0", "save user:u")
    simulation.complete("1.0")
    assert simulation.dapr.values()["user:u"] == {}
    simulation.complete("0.0")
    assert simulation.dapr.values()["user:u"] == {"name": "u", "preferred_style": "casual", "goal": "new"}
    settled(simulation)


@pytest.mark.parametrize("before", [[], [Erase("s")]])
@pytest.mark.parametrize("write", [Initialize("s"), ChangeGoal("s", goal="secret")])
def test_a_profile_that_lands_after_an_erase_is_refused(
    simulate: Simulate, write: Operation, before: list[Operation]
) -> None:
    """P writes a profile and gets no response. E erases what is absent or erased already, then P's write lands."""
    simulation = simulate([write], [Erase("s")], before=before)
    simulation.reach("0.0", "save user:u")
    simulation.step("0.0", Fault.LATE)
    simulation.crash(0)
    simulation.complete("1.0")
    simulation.land(0)
    assert simulation.dapr.values()["user:u"] == {}


def test_nothing_that_may_be_written_again_gets_a_ttl(simulate: Simulate) -> None:
    """Profiles and their tombstones never expire: on Redis an expiry that is late would remove the next profile."""
    writes: list[Commit] = []
    simulation = simulate([Initialize("s"), Erase("s"), Initialize("s")])
    simulation.dapr.on_commit.append(writes.append)
    simulation.finish()
    assert [commit.ttl for commit in writes if commit.key == "user:u"] == ["-1"] * 4


def test_a_compaction_does_not_lose_a_session_listed_meanwhile(simulate: Simulate) -> None:
    """The compaction after D has read the list, then A adds t. The etag refuses the compaction."""
    simulation = simulate([Delete("s")], [Append("t", "p")], before=[Append("s", "a")])
    simulation.complete("0.0")
    simulation.reach("0.0", "save sessions-of:u")
    simulation.complete("1.0")
    simulation.finish()
    assert simulation.request(ListSessions("t")).result == Listed(["t"])
    settled(simulation, "t")


def test_an_entry_whose_response_was_lost_is_not_listed_twice_after_a_compaction(simulate: Simulate) -> None:
    """A's entry for t is stored, its response is lost, and the list is written anew. A finds its entry there."""
    simulation = simulate([Append("t", "p")], [Delete("s")], before=[Append("s", "a")])
    simulation.reach("0.0", "save sessions-of:u")
    simulation.step("0.0", Fault.RESPONSE_LOST)
    simulation.complete("1.0")
    while any(call.by == "1.0" for call in simulation.schedule.parked):
        simulation.step("1.0")
    compacted = str(simulation.dapr.values()["sessions-of:u"])
    assert "'s'" not in compacted
    assert simulation.complete("0.0").error is None
    assert str(simulation.dapr.values()["sessions-of:u"]).count("session_id") == 1
    assert simulation.request(ListSessions("t")).result == Listed(["t"])
    settled(simulation, "t")


def test_a_compaction_leaves_a_frozen_list_alone(simulate: Simulate) -> None:
    """E has frozen the list when the compaction after D writes it. The erase goes on with the list that it froze."""
    simulation = simulate([Delete("s")], [Erase("t")], before=[Append("s", "a"), Append("t", "b")])
    simulation.complete("0.0")
    simulation.reach("0.0", "save sessions-of:u")
    simulation.reach("1.0", "save session:t")
    simulation.complete("1.0")
    assert settled(simulation, "t").deleted


def test_an_erase_leaves_a_list_that_a_newer_erase_has_frozen(simulate: Simulate) -> None:
    """E is about to close the list when a newer erase freezes it, with one more session, and dies.

    E leaves the list to it, so the newer erase is finished too.
    """
    newer: list[Operation] = [Append("t", "p"), Erase("t")]
    simulation = simulate([Erase("s")], newer, before=[Append("s", "a")])
    simulation.reach("0.0", "save session:s")
    assert simulation.complete("1.0").error is None
    simulation.reach("1.1", "save user:u")
    simulation.replicas[1].sidecar.crash()
    assert simulation.complete("0.0").error is None
    assert settled(simulation, "t").deleted


def test_a_profile_changed_while_an_erase_is_finished_stays(service: Service) -> None:
    """The worker finishes an erase and has read the profile when the user stores another: the etag refuses it."""

    async def scenario() -> None:
        await service.http.post("/memories/u/initialize", json=PROFILE)
        etag = await service.memory.profiles.etag("u")
        saves: list[str] = []

        def store_another(request: httpx.Request) -> Fault:
            saves.append(named(request))
            if saves == ["save user:u"]:
                service.dapr.seed("user:u", {**PROFILE, "goal": "new"})
            return Fault.NONE

        service.sidecar.faults = lambda request: store_another(request) if is_write(request) else Fault.NONE
        await service.memory.profiles.erase_unchanged("u", etag)
        assert saves == ["save user:u"]
        assert (await service.http.get("/memories/u")).json()["goal"] == "new"

    run(scenario())
