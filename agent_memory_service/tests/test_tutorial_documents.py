"""Sessions of any length that the tutorial's code wrote are read as they are and then continued."""

import httpx
import pytest

from tests.fake_time import run
from tests.fake_wire import JSON
from tests.service_under_test import Service

LENGTHS = [0, 1, 2, 11, 19, 20, 21, 31, 32, 33, 44, 45, 100, 1_000]
HEAD_MAX_ENTRIES = 32
"""Most entries of a head after an append."""


def document(length: int) -> JSON:
    return {
        "history": [{"role": "user", "content": f"old {n}", "timestamp": "2025-04-07T15:00:00Z"} for n in range(length)]
    }


@pytest.mark.parametrize("length", LENGTHS)
def test_it_is_read_as_it_is(service: Service, length: int) -> None:
    """The whole history, the newest part, and all parts backwards are read without a write."""

    async def scenario() -> None:
        service.dapr.seed("session:s", document(length))
        expected = [f"old {number}" for number in range(length)]
        assert await service.contents("s") == expected
        found: list[str] = []
        query = "?last=7"
        while query:
            part = (await service.http.get(f"/conversations/s{query}")).json()
            assert (part["epoch"], part["total"]) == ("0", length)
            found = [entry["content"] for entry in part["history"]] + found
            query = part["before"] and f"?before={part['before']}&limit=7"
        assert found == expected
        assert service.dapr.values() == {"session:s": document(length)}

    run(scenario())


@pytest.mark.parametrize("length", LENGTHS)
def test_it_is_continued(service: Service, length: int) -> None:
    """Turns are added after the old messages, the head gets short, and the newest 20 cost one read."""

    async def scenario() -> None:
        service.dapr.seed("session:s", document(length))
        expected = [f"old {number}" for number in range(length)]
        for number in range(20):
            response = await service.append("s", f"t{number}", f"a{number}", f"b{number}")
            assert (response.status_code, response.json()["seq"]) == (201, len(expected))
            expected += [f"a{number}", f"b{number}"]
            head = service.dapr.values()["session:s"]
            assert isinstance(head, dict)
            assert isinstance(head["history"], list)
            assert min(20, len(expected)) <= len(head["history"]) <= HEAD_MAX_ENTRIES
        assert await service.contents("s") == expected
        service.dapr.calls.clear()
        assert await service.contents("s", "?last=20") == expected[-20:]
        assert service.dapr.calls == {"get": 1}

    run(scenario())


def test_it_may_be_replaced_and_continued(service: Service) -> None:
    """The tutorial's POST replaces such a document with the longest history that is allowed."""

    async def scenario() -> None:
        service.dapr.seed("session:s", document(50))
        entries = [{"role": "user", "content": f"new {number}"} for number in range(10_000)]
        assert (await service.http.post("/conversations/s", json={"history": entries})).status_code == 200
        await service.append("s", "t", "last")
        assert await service.contents("s") == [f"new {number}" for number in range(10_000)] + ["last"]

    run(scenario())


def test_every_remembered_turn_is_returned_whole(service: Service) -> None:
    """Of 200 turns of one to twelve messages, the last 128 are returned as they were stored, also from pages."""

    async def scenario() -> None:
        sizes = [number % 12 + 1 for number in range(200)]
        for number, size in enumerate(sizes):
            await service.append("s", f"t{number}", *(f"{number}.{part}" for part in range(size)))
        before = service.dapr.values()
        for number in range(200 - 128, 200):
            response = await service.append("s", f"t{number}", "something else")
            assert response.headers["idempotent-replayed"] == "true"
            contents = [entry["content"] for entry in response.json()["entries"]]
            assert (response.status_code, contents) == (200, [f"{number}.{part}" for part in range(sizes[number])])
            assert response.json()["seq"] == sum(sizes[:number])
        assert service.dapr.values() == before

    run(scenario())


def test_the_tutorials_code_can_go_on_writing(service: Service) -> None:
    """Its saves have no etag. No write of this service marks a key so that Dapr would refuse them."""

    async def scenario() -> None:
        profile = {"name": "Ann", "preferred_style": "casual", "goal": "chat"}
        await service.http.patch("/memories/u", json={"goal": "learn"})
        await service.append("s", "t", "a")
        assert (await service.http.post("/memories/u/initialize", json=profile)).status_code == 200
        body = [{"key": "session:s", "value": document(1)}]
        async with httpx.AsyncClient(transport=service.sidecar, base_url="http://sidecar") as tutorial:
            assert (await tutorial.post("/v1.0/state/statestore", json=body)).status_code == 204
        assert await service.contents("s") == ["old 0"]

    run(scenario())
