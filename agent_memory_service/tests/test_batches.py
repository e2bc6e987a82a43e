"""Turns of one session that reach one process at the same time: few writes add them, each has its own outcome."""

import asyncio
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import NotOwner
from log import page_plan
from log.page_plan import HEAD_MIN_ENTRIES, PAGE_ENTRIES, Head
from tests.fake_dapr import Commit
from tests.fake_time import run
from tests.service_under_test import Service
from tests.simulation import Simulation
from tests.store_kinds import StoreKind
from tests.workload import Append


@pytest.fixture
def service(service: Service) -> Service:
    """The service over a slow sidecar, so that turns wait while a call is under way."""
    service.sidecar.latency_seconds = 0.01
    return service


def test_many_writers_share_writes(service: Service) -> None:
    """64 turns at once are all stored once and whole, by far fewer writes than turns."""
    lengths = [0]

    def see(commit: Commit) -> None:
        if commit.key == "session:s":
            head = page_plan.parse(json.loads(str(commit.data)))
            lengths.append(head.total)

    async def scenario() -> None:
        service.dapr.on_commit.append(see)
        turns = [f"t{number}" for number in range(64)]
        responses = await asyncio.gather(*(service.append("s", turn, f"{turn}.0", f"{turn}.1") for turn in turns))
        assert {response.status_code for response in responses} == {201}
        kept = await service.contents("s")
        assert sorted(kept[::2]) == sorted(f"{turn}.0" for turn in turns)
        assert [content.replace(".0", ".1") for content in kept[::2]] == kept[1::2]
        for response in responses:
            at = response.json()["seq"]
            assert [entry["content"] for entry in response.json()["entries"]] == kept[at : at + 2]

    run(scenario())
    growth = [after - before for before, after in pairwise(lengths)]
    assert max(growth) <= HEAD_MIN_ENTRIES
    assert len(growth) <= 64 * 2 // HEAD_MIN_ENTRIES + 2


def test_one_of_two_users_gets_a_new_session(service: Service) -> None:
    """Of two users' first turns in one batch, one claims the session and the other is refused."""

    async def scenario() -> None:
        responses = await asyncio.gather(*(service.append("s", f"t{user}", user, user=user) for user in "uvuvuv"))
        assert [response.status_code for response in responses] == [201, 403, 200, 403, 200, 403]
        assert await service.contents("s") == ["u"]

    run(scenario())


def test_a_refusal_in_a_batch_is_for_the_one_refused(service: Service) -> None:
    """Another user's turn in a batch is refused; the owner's turns are stored."""

    async def scenario() -> None:
        await service.append("s", "first", "a")
        users = ["u", "v", "u", "v", "u"]
        responses = await asyncio.gather(
            *(service.append("s", f"t{number}", str(number), user=user) for number, user in enumerate(users))
        )
        assert [response.status_code for response in responses] == [201, 403, 201, 403, 201]
        assert await service.contents("s") == ["a", "0", "2", "4"]

    run(scenario())


def test_waiting_appends_need_no_calls_of_their_own(service: Service) -> None:
    """An append that another one stored, or that was refused in its batch, reads nothing again."""

    async def scenario() -> None:
        await service.append("s", "first", "a")
        service.dapr.calls.clear()
        users = "u" * 10 + "v" * 50
        await asyncio.gather(
            *(service.append("s", f"t{number}", str(number), user=user) for number, user in enumerate(users))
        )
        assert service.dapr.calls == {"get": 1, "save": 1}

    run(scenario())


def test_a_refusal_counts_only_if_what_it_rests_on_was_written(kind: StoreKind) -> None:
    """A turn refused because of another turn in its batch is decided again if the batch was not written."""
    programs = [[Append("s", "p", "u")], [Append("s", "r", "v")], [Append("s", "q", "v")]]
    simulation = Simulation(programs, replicas=2, kind=kind)
    simulation.reach("0.0", "save session:s")
    simulation.complete("1.0")
    simulation.finish()
    simulation.close()
    assert isinstance(simulation.records["0.0"].error, NotOwner)
    assert simulation.records["2.0"].error is None


def test_a_lost_race_is_no_failure_in_the_log(kind: StoreKind, caplog: pytest.LogCaptureFixture) -> None:
    """Two replicas create a session. PostgreSQL refuses the second creation with 500; that is no failing store."""
    simulation = Simulation([[Append("s", "p")], [Append("s", "q")]], replicas=2, kind=kind)
    simulation.reach("0.0", "save session:s")
    simulation.reach("1.0", "save session:s")
    simulation.finish()
    simulation.close()
    assert [record.error for record in simulation.records.values()] == [None, None]
    assert not [record for record in caplog.records if record.name == "agent_memory_service.state"]


@given(st.integers(0, 200), st.integers(1, HEAD_MIN_ENTRIES))
def test_only_what_was_read_is_sealed(length: int, new: int) -> None:
    """Sealed pages have no entry of the append itself, and the head keeps the newest entries."""
    head = Head(history=[{"content": str(number)} for number in range(length)])
    grown = page_plan.with_entries(head, "t", [{"content": "new"}] * new, {}, 0)
    pages = page_plan.full_pages(grown)
    left = page_plan.without_pages(grown, pages)
    assert pages * PAGE_ENTRIES <= length
    assert min(length + new, HEAD_MIN_ENTRIES) <= len(left.history) <= HEAD_MIN_ENTRIES + PAGE_ENTRIES
    assert left.total == length + new
