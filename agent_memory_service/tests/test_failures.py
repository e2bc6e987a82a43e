"""What a failing or damaged store is told as: never an empty history, never a success."""

import asyncio

import httpx
import pytest

from tests.fake_clients import Fault, is_write, named
from tests.fake_time import run
from tests.service_under_test import Service

LATEST_ANSWER_SECONDS = 3.0


async def fill(service: Service, turns: int = 40) -> list[str]:
    for number in range(turns):
        assert (await service.append("s", f"t{number}", f"a{number}", f"b{number}")).status_code == 201
    return [f"{letter}{number}" for number in range(turns) for letter in "ab"]


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize("query", ["", "?last=1000", "?last=2&turn_id=t0"])
def test_a_missing_page_is_a_fault(service: Service, query: str) -> None:
    """A page that the head names and the store does not have: 500 with a code, and the session is not changed."""

    async def scenario() -> None:
        await fill(service)
        page = min(key for key in service.dapr.values() if key.count(":") == 3)
        del service.dapr.entries[page]
        before = service.dapr.values()
        assert told(await service.http.get(f"/conversations/s{query}")) == (500, "history_damaged")
        assert service.dapr.values() == before

    run(scenario())


@pytest.mark.parametrize("fault", [Fault.ERROR_NOT_DONE, Fault.REQUEST_LOST, Fault.UNREACHABLE, Fault.ITEM_ERRORS])
def test_a_store_that_is_down_is_told_in_time_and_used_again(service: Service, fault: Fault) -> None:
    """503 with Retry-After within three seconds for whatever is asked; once it is back everything works."""

    async def scenario() -> None:
        expected = await fill(service)
        service.sidecar.faults = lambda request: fault
        for method, path, body in REQUESTS:
            began = asyncio.get_running_loop().time()
            answer = await service.http.request(method, path, json=body)
            assert told(answer) == (503, "store_unavailable"), f"{method} {path}"
            assert answer.headers["retry-after"] == "1"
            assert asyncio.get_running_loop().time() - began < LATEST_ANSWER_SECONDS
        service.sidecar.faults = lambda request: Fault.NONE
        assert await service.contents("s") == expected

    run(scenario())


TURN = {"turn_id": "t", "user_id": "u", "entries": [{"role": "user", "content": "x"}]}
PROFILE = {"name": "n", "preferred_style": "p", "goal": "g"}
REQUESTS: list[tuple[str, str, dict[str, object] | None]] = [
    ("GET", "/conversations/s", None),
    ("GET", "/conversations/s?last=20", None),
    ("GET", "/conversations/none", None),
    ("POST", "/conversations/s", {"history": []}),
    ("POST", "/conversations/s/turns", dict(TURN)),
    ("PUT", "/conversations/s/summary", {"text": "x", "through": 1, "epoch": "0"}),
    ("DELETE", "/conversations/s", None),
    ("GET", "/memories/u", None),
    ("POST", "/memories/u/initialize", dict(PROFILE)),
    ("PATCH", "/memories/u", {"goal": "x"}),
    ("GET", "/memories/u/conversations", None),
    ("GET", "/memories/u/export", None),
    ("DELETE", "/memories/u", None),
]


def test_a_bulk_read_of_errors_is_a_failure(service: Service) -> None:
    """With the store down Dapr answers a bulk read 200, each item with an error: 503, not a missing page."""

    async def scenario() -> None:
        await fill(service)
        service.sidecar.faults = lambda request: Fault.ITEM_ERRORS if "bulk" in named(request) else Fault.NONE
        assert told(await service.http.get("/conversations/s")) == (503, "store_unavailable")
        assert told(await service.http.delete("/conversations/s")) == (503, "store_unavailable")
        service.sidecar.faults = lambda request: Fault.NONE
        assert (await service.http.delete("/conversations/s")).status_code == 204
        assert [key for key in service.dapr.values() if key.count(":") == 3] == []

    run(scenario())


def test_conflicts_without_end_are_told(service: Service) -> None:
    """Every write refused until the deadline: 503 store_conflict, not a lost turn called saved."""

    async def scenario() -> None:
        await fill(service, 1)
        service.sidecar.faults = lambda request: Fault.CONFLICT_NOT_DONE if is_write(request) else Fault.NONE
        assert told(await service.append("s", "t", "lost")) == (503, "store_conflict")
        service.sidecar.faults = lambda request: Fault.NONE
        assert await service.contents("s") == ["a0", "b0"]

    run(scenario())


@pytest.mark.parametrize("fault", [Fault.CONFLICT_DONE, Fault.ERROR_DONE, Fault.ANSWER_LOST, Fault.ANSWER_CUT])
def test_a_write_done_but_answered_otherwise_is_recognised(service: Service, fault: Fault) -> None:
    """Each write is done and its answer wrong or lost: the turn is in once, and is told as saved."""

    async def scenario() -> None:
        await fill(service, 20)
        service.sidecar.faults = lambda request: fault if named(request) == "save session:s" else Fault.NONE
        answer = await service.append("s", "t", "one", "two")
        assert answer.status_code in (200, 201)
        assert [entry["content"] for entry in answer.json()["entries"]] == ["one", "two"]
        assert (await service.contents("s"))[40:] == ["one", "two"]

    run(scenario())


def test_a_key_that_holds_something_else_is_not_overwritten(service: Service) -> None:
    """A value that is no object is told as a failure and left as it is."""

    async def scenario() -> None:
        service.dapr.seed("session:s", "text")
        assert (await service.append("s", "t", "x")).status_code in (500, 503)
        assert (await service.http.get("/conversations/s")).status_code in (500, 503)
        assert service.dapr.values()["session:s"] == "text"

    run(scenario())
