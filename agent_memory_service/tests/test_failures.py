"""How a failed or damaged store is reported: never as an empty history, never as a success."""

import asyncio

import httpx
import pytest

from tests.fake_clients import Fault, named
from tests.fake_time import run
from tests.service_under_test import Service

MAX_RESPONSE_SECONDS = 3.0


async def fill(service: Service, turns: int = 40) -> list[str]:
    for number in range(turns):
        assert (await service.append("s", f"t{number}", f"a{number}", f"b{number}")).status_code == 201
    return [f"{letter}{number}" for number in range(turns) for letter in "ab"]


def status_and_code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


@pytest.mark.parametrize("query", ["", "?last=1000", "?last=2&turn_id=t0"])
def test_a_missing_page_is_a_fault(service: Service, query: str) -> None:
    """If a page that the head names is missing, the response is 500 with a code, and nothing is changed."""

    async def scenario() -> None:
        await fill(service)
        page = min(key for key in service.dapr.values() if key.count(":") == 3)
        del service.dapr.entries[page]
        before = service.dapr.values()
        assert status_and_code(await service.http.get(f"/conversations/s{query}")) == (500, "history_damaged")
        assert service.dapr.values() == before

    run(scenario())


@pytest.mark.parametrize("fault", [Fault.ERROR_NOT_DONE, Fault.REQUEST_LOST, Fault.UNREACHABLE, Fault.ITEM_ERRORS])
def test_a_store_that_is_down_is_reported_in_time_and_used_again(service: Service, fault: Fault) -> None:
    """Every route responds with 503 and Retry-After within three seconds, and works again when the store is back."""

    async def scenario() -> None:
        expected = await fill(service)
        service.sidecar.faults = lambda request: fault
        for method, path, body in REQUESTS:
            began = asyncio.get_running_loop().time()
            response = await service.http.request(method, path, json=body)
            assert status_and_code(response) == (503, "store_unavailable"), f"{method} {path}"
            assert response.headers["retry-after"] == "1"
            assert asyncio.get_running_loop().time() - began < MAX_RESPONSE_SECONDS
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
    """If the store is down, Dapr responds to a bulk read with 200 and an error for each key: this is a 503."""

    async def scenario() -> None:
        await fill(service)
        service.sidecar.faults = lambda request: Fault.ITEM_ERRORS if "bulk" in named(request) else Fault.NONE
        assert status_and_code(await service.http.get("/conversations/s")) == (503, "store_unavailable")
        assert (await service.http.delete("/conversations/s")).status_code == 204  # it reads no pages
        assert [key for key in service.dapr.values() if key.count(":") == 3] == []

    run(scenario())


@pytest.mark.parametrize("path", ["/conversations/s", "/memories/u"])
def test_a_deletion_that_could_not_remove_the_pages_does_so_when_repeated(service: Service, path: str) -> None:
    """It is 503 although the tombstone is written. The tombstone says which pages there are."""

    async def scenario() -> None:
        await fill(service)
        service.sidecar.faults = lambda request: (
            Fault.ERROR_NOT_DONE if named(request).startswith("delete session:s:") else Fault.NONE
        )
        assert status_and_code(await service.http.delete(path)) == (503, "store_unavailable")
        service.sidecar.faults = lambda request: Fault.NONE
        assert (await service.http.delete(path)).status_code == 204
        assert [key for key in service.dapr.values() if key.count(":") == 3] == []

    run(scenario())


def test_conflicts_without_end_are_reported(service: Service) -> None:
    """If another writer changes the session before every write until the deadline, the response is 503."""

    async def scenario() -> None:
        await fill(service, 1)

        def lose(request: httpx.Request) -> Fault:
            if named(request) == "save session:s":
                service.dapr.seed("session:s", service.dapr.value("session:s"))
            return Fault.NONE

        service.sidecar.faults = lose
        assert status_and_code(await service.append("s", "t", "lost")) == (503, "store_conflict")
        service.sidecar.faults = lambda request: Fault.NONE
        assert await service.contents("s") == ["a0", "b0"]

    run(scenario())


@pytest.mark.parametrize("fault", [Fault.CONFLICT_DONE, Fault.ERROR_DONE, Fault.RESPONSE_LOST, Fault.RESPONSE_CUT])
def test_a_write_that_was_done_is_recognized(service: Service, fault: Fault) -> None:
    """Each write is done, but its response is wrong or lost. The turn is stored once and reported as saved."""

    async def scenario() -> None:
        await fill(service, 20)
        service.sidecar.faults = lambda request: fault if named(request) == "save session:s" else Fault.NONE
        response = await service.append("s", "t", "one", "two")
        assert response.status_code in (200, 201)
        assert [entry["content"] for entry in response.json()["entries"]] == ["one", "two"]
        assert (await service.contents("s"))[40:] == ["one", "two"]

    run(scenario())


def test_a_retry_of_the_service_is_not_a_repeat(service: Service) -> None:
    """A turn that the service finds after its own lost response is new for the client: 201."""

    async def scenario() -> None:
        saves: list[str] = []

        def lose_first(request: httpx.Request) -> Fault:
            if named(request) != "save session:s":
                return Fault.NONE
            saves.append(named(request))
            return Fault.RESPONSE_LOST if len(saves) == 1 else Fault.NONE

        service.sidecar.faults = lose_first
        response = await service.append("s", "t", "one")
        assert (response.status_code, "idempotent-replayed" in response.headers, len(saves)) == (201, False, 1)
        assert (await service.append("s", "t", "one")).headers["idempotent-replayed"] == "true"

    run(scenario())


def test_a_key_that_holds_something_else_is_not_overwritten(service: Service) -> None:
    """A value that is not an object is reported as a failure and not changed."""

    async def scenario() -> None:
        service.dapr.seed("session:s", "text")
        assert (await service.append("s", "t", "x")).status_code in (500, 503)
        assert (await service.http.get("/conversations/s")).status_code in (500, 503)
        assert service.dapr.values()["session:s"] == "text"

    run(scenario())
