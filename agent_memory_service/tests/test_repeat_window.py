"""A repeat of a turn within the window finds the recorded turn, at any rate of other turns."""

import asyncio

import pytest

from log.recent_ids import REMEMBERED_APPENDS
from log.repeat_window import REPEAT_WINDOW_SECONDS
from tests.fake_time import run
from tests.service_under_test import Service

MANY = 2 * REMEMBERED_APPENDS + 44


def spilled(service: Service) -> list[str]:
    return [key for key in service.dapr.values() if ":id:" in key]


async def busy(service: Service, seconds: float, turns: int, first: int = 0) -> None:
    for number in range(first, first + turns):
        await service.append("s", f"q{number}", f"q{number}")
        await asyncio.sleep(seconds / turns)


@pytest.mark.parametrize(
    "turns", [REMEMBERED_APPENDS - 1, REMEMBERED_APPENDS, pytest.param(MANY, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("seconds", [0.0, REPEAT_WINDOW_SECONDS - 1])
def test_a_repeat_within_the_window_never_adds(service: Service, turns: int, seconds: float) -> None:
    """A client repeats its turn after many others, at the end of the window: 200, the turn whole, nothing written."""

    async def scenario() -> None:
        await service.append("s", "before", "x")
        await service.append("s", "t", *(f"t.{part}" for part in range(12)))
        await busy(service, seconds, turns)
        before = service.dapr.values()
        response = await service.append("s", "t", "something else")
        assert (response.status_code, response.headers.get("idempotent-replayed")) == (200, "true")
        assert [entry["content"] for entry in response.json()["entries"]] == [f"t.{part}" for part in range(12)]
        assert response.json()["seq"] == 1
        read = (await service.http.get("/conversations/s?last=1&turn_id=t")).json()
        assert [entry["content"] for entry in read["turn"]["entries"]] == [f"t.{part}" for part in range(12)]
        assert service.dapr.values() == before

    run(scenario())


def test_an_id_is_written_before_the_head_forgets_it(service: Service) -> None:
    """If the process dies between the two writes, a repeat still finds its turn."""

    async def scenario() -> None:
        await busy(service, 0, REMEMBERED_APPENDS)
        written: list[str] = []
        service.dapr.on_commit.append(lambda commit: written.append(commit.key))
        await service.append("s", "next", "x")
        assert written[-1] == "session:s"
        assert [":id:" in key for key in written].count(True) == 1

    run(scenario())


def test_an_id_that_cannot_be_read_is_not_taken_for_a_new_one(service: Service) -> None:
    """The turn may be there: 503, and nothing is added."""

    async def scenario() -> None:
        await busy(service, 0, REMEMBERED_APPENDS + 1)
        (key,) = spilled(service)
        service.dapr.entries[key].data = "garbage"
        total = len(await service.contents("s"))
        response = await service.append("s", "q0", "q0")
        assert (response.status_code, key in response.text) == (503, True)
        assert len(await service.contents("s")) == total

    run(scenario())


def test_an_id_that_cannot_be_read_fails_its_own_turn_only(service: Service) -> None:
    """Turns that wait with it are stored."""

    async def scenario() -> None:
        await busy(service, 0, REMEMBERED_APPENDS + 1)
        (key,) = spilled(service)
        service.dapr.entries[key].data = "garbage"
        service.sidecar.latency_seconds = 0.01
        turns = ("n1", "n2", "q0", "n3")
        responses = await asyncio.gather(*(service.append("s", turn, turn) for turn in turns))
        assert [response.status_code for response in responses] == [201, 201, 503, 201]

    run(scenario())


def test_repeats_that_come_together_are_found(service: Service) -> None:
    """64 clients repeat turns that slid out of the head, at the same time: each gets its own."""

    async def scenario() -> None:
        await busy(service, 60, MANY)
        before = service.dapr.values()
        service.sidecar.latency_seconds = 0.01
        responses = await asyncio.gather(*(service.append("s", f"q{number}", "again") for number in range(64)))
        assert {response.status_code for response in responses} == {200}
        found = [response.json()["entries"][0]["content"] for response in responses]
        assert found == [f"q{number}" for number in range(64)]
        assert service.dapr.values() == before

    run(scenario())


def test_an_ordinary_rate_needs_no_keys_and_no_calls_beyond_a_read_and_a_write(service: Service) -> None:
    """At a turn every ten seconds ids leave the head only after the window: no key is written for them."""

    async def scenario() -> None:
        await busy(service, 10.0 * 400, 400)
        assert spilled(service) == []
        service.dapr.calls.clear()
        await service.append("s", "next", "x")
        assert service.dapr.calls["get"] == 1
        assert service.dapr.calls["bulk"] == 0

    run(scenario())


def test_a_high_rate_leaves_nothing_behind(service: Service) -> None:
    """The keys of ids that slid out expire. They have numbers only. Afterwards nothing is read for them."""

    async def scenario() -> None:
        await busy(service, 60, MANY)
        keys = spilled(service)
        assert len(keys) == MANY - REMEMBERED_APPENDS
        assert all(service.dapr.value(key).keys() == {"first", "count"} for key in keys)  # type: ignore[union-attr]
        await asyncio.sleep(REPEAT_WINDOW_SECONDS + 300)
        assert spilled(service) == []
        service.dapr.calls.clear()
        await service.append("s", "next", "x")
        assert service.dapr.calls["bulk"] == 0

    run(scenario())
