"""Turns of one session that arrive at one process together: added by few writes, each for itself."""

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
from tests.workload import Append


@pytest.fixture
def service(service: Service) -> Service:
    """The service over a sidecar that takes its time, so that turns gather while a call is under way."""
    service.sidecar.latency_seconds = 0.01
    return service


def test_many_writers_share_writes(service: Service) -> None:
    """64 turns at once are all kept, once, whole, by far fewer writes, none of which adds more than it may seal."""
    lengths = [0]

    def see(commit: Commit) -> None:
        if commit.key == "session:s":
            head = page_plan.parse(json.loads(str(commit.data)))
            lengths.append(head.total)

    async def scenario() -> None:
        service.dapr.on_commit.append(see)
        turns = [f"t{number}" for number in range(64)]
        answers = await asyncio.gather(*(service.append("s", turn, f"{turn}.0", f"{turn}.1") for turn in turns))
        assert {answer.status_code for answer in answers} == {201}
        kept = await service.contents("s")
        assert sorted(kept[::2]) == sorted(f"{turn}.0" for turn in turns)
        assert [content.replace(".0", ".1") for content in kept[::2]] == kept[1::2]
        for answer in answers:
            at = answer.json()["seq"]
            assert [entry["content"] for entry in answer.json()["entries"]] == kept[at : at + 2]

    run(scenario())
    growth = [after - before for before, after in pairwise(lengths)]
    assert max(growth) <= HEAD_MIN_ENTRIES
    assert len(growth) <= 64 * 2 // HEAD_MIN_ENTRIES + 2


def test_one_of_two_users_gets_a_new_session(service: Service) -> None:
    """Of two users' first turns in one batch, one claims the session and the other is refused."""

    async def scenario() -> None:
        answers = await asyncio.gather(*(service.append("s", f"t{user}", user, user=user) for user in "uvuvuv"))
        assert [answer.status_code for answer in answers] == [201, 403, 200, 403, 200, 403]
        assert await service.contents("s") == ["u"]

    run(scenario())


def test_a_refusal_in_a_batch_is_for_the_one_refused(service: Service) -> None:
    """A stranger's turn among the owner's is refused; the owner's are kept."""

    async def scenario() -> None:
        await service.append("s", "first", "a")
        users = ["u", "v", "u", "v", "u"]
        answers = await asyncio.gather(
            *(service.append("s", f"t{number}", str(number), user=user) for number, user in enumerate(users))
        )
        assert [answer.status_code for answer in answers] == [201, 403, 201, 403, 201]
        assert await service.contents("s") == ["a", "0", "2", "4"]

    run(scenario())


def test_a_refusal_counts_only_if_what_it_rests_on_was_written() -> None:
    """A turn refused for the sake of one in the same batch is looked at again when another replica's came first."""
    simulation = Simulation([[Append("s", "p", "u")], [Append("s", "r", "v")], [Append("s", "q", "v")]], replicas=2)
    simulation.reach("0.0", "save session:s")
    simulation.complete("1.0")
    simulation.finish()
    simulation.close()
    assert isinstance(simulation.records["0.0"].error, NotOwner)
    assert simulation.records["2.0"].error is None


@given(st.integers(0, 200), st.integers(1, HEAD_MIN_ENTRIES))
def test_only_what_was_read_is_sealed(length: int, new: int) -> None:
    """However full the head, the pages that make room hold none of the entries being added, and it keeps the newest."""
    head = Head(history=[{"content": str(number)} for number in range(length)])
    grown = page_plan.with_entries(head, "t", [{"content": "new"}] * new, {})
    pages = page_plan.full_pages(grown)
    left = page_plan.without_pages(grown, pages)
    assert pages * PAGE_ENTRIES <= length
    assert min(length + new, HEAD_MIN_ENTRIES) <= len(left.history) <= HEAD_MIN_ENTRIES + PAGE_ENTRIES
    assert left.total == length + new
