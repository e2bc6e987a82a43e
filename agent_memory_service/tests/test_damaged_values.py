"""One value of the store is damaged, or encrypted with another key: the error names it, and all others are read."""

import asyncio
import json

import httpx
import pytest

from documents import Document
from keys import list_key
from main import create_app
from tests.fake_clients import Fault, Sidecar, named
from tests.fake_dapr import FakeDapr
from tests.fake_time import run, skip
from tests.fake_wire import JSON, encoded
from tests.service_under_test import Service
from tests.workload import SETTINGS

DAMAGED = "session:a"
MINUTE_SECONDS = 60


class Undecryptable(Sidecar):
    """A sidecar that cannot decrypt one value, as Dapr 1.18: an error, or a cut connection if the value is short."""

    def __init__(self, *, cuts: bool) -> None:
        super().__init__(FakeDapr())
        self.cuts = cuts
        self.damaged = {DAMAGED}
        self.begun = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        keys = set(named(request).split()) & self.damaged
        if not self.begun or not keys or named(request).startswith(("save", "delete")):
            return await super().handle_async_request(request)
        if self.cuts or request.method == "GET":
            fault = Fault.RESPONSE_CUT if self.cuts else Fault.ERROR_NOT_DONE
            return await Sidecar(self.dapr, lambda _: fault).handle_async_request(request)
        items: list[Document] = json.loads((await super().handle_async_request(request)).content)
        errors: dict[str, JSON] = {
            key: {"key": key, "error": "cipher: message authentication failed"} for key in self.damaged
        }
        return httpx.Response(200, content=encoded([errors.get(str(it["key"]), it) for it in items]).encode())


async def check_it_is_named_and_the_others_are_read(service: Service) -> None:
    """Send each kind of read, and an append, to the damaged session and to the other one."""
    for path in ("/conversations/a", "/conversations/a?last=20", "/memories/u/recall?session_id=a"):
        assert_named(await service.http.get(path))
    assert_named(await service.append("a", "t2", "more"))
    for path in ("/memories/u/export", "/memories/u/conversations", "/memories/u/conversations?order=activity"):
        found = (await service.http.get(path)).json()
        assert ([it["session_id"] for it in found["conversations"]], found["damaged"]) == (["b"], ["a"])
    assert (await service.http.get("/memories/u/recall?session_id=b")).json()["conversation"]["total"] == 1
    assert (await service.append("b", "t2", "more")).status_code == 201


def assert_named(response: httpx.Response) -> None:
    """Check that a response says which value cannot be read."""
    body = response.json()
    assert (response.status_code, body["code"]) == (503, "store_unavailable")
    assert body["detail"].startswith(f"The store responds, but its value of {DAMAGED} cannot be read.")


@pytest.mark.parametrize("value", ["garbage", "\udcff", "", "null"])
def test_a_damaged_value_is_named(service: Service, value: str) -> None:
    """A bulk read of it empties the whole response, or gives an etag without a value, or what is no document."""

    async def scenario() -> None:
        for session in "ab":
            await service.append(session, "t", "words")
        service.dapr.entries[DAMAGED].data = value
        await check_it_is_named_and_the_others_are_read(service)

    run(scenario())


@pytest.mark.parametrize("cuts", [False, True])
def test_a_value_that_cannot_be_decrypted_is_named(*, cuts: bool) -> None:
    """So it is if a store is encrypted with another key than before, or was not encrypted."""
    sidecar = Undecryptable(cuts=cuts)
    service = Service(create_app(SETTINGS, sidecar_transport=sidecar), sidecar.dapr, sidecar)

    async def scenario() -> None:
        for session in "ab":
            await service.append(session, "t", "words")
        sidecar.begun = True
        await check_it_is_named_and_the_others_are_read(service)

    run(scenario())


def test_a_store_that_came_back_is_not_taken_for_a_damaged_value(service: Service) -> None:
    """It failed one read and responds to the next ones."""

    async def scenario() -> None:
        await service.append("a", "t", "words")
        failing = iter([Fault.ERROR_NOT_DONE])
        service.sidecar.faults = lambda request: next(failing, Fault.NONE)
        assert await service.contents("a") == ["words"]

    run(scenario())


@pytest.mark.parametrize("fault", [Fault.ERROR_NOT_DONE, Fault.ITEM_ERRORS])
def test_a_list_shows_a_session_whose_head_failed_to_be_read_once(service: Service, fault: Fault) -> None:
    """Only a second failure, while the store responds, says that the head is damaged."""

    async def scenario() -> None:
        await service.append("a", "t", "words")
        failing = iter([fault])
        service.sidecar.faults = lambda request: (
            next(failing, Fault.NONE) if request.url.path.endswith("/bulk") else Fault.NONE
        )
        listed = (await service.http.get("/memories/u/conversations")).json()["conversations"]
        assert [it["session_id"] for it in listed] == ["a"]
        assert next(failing, None) is None

    run(scenario())


@pytest.mark.parametrize("is_restored", [True, False])
def test_an_erase_leaves_only_what_cannot_be_read(service: Service, *, is_restored: bool) -> None:
    """The response names it. Once the value is back, or was removed by hand, a repeat finishes the erase."""

    async def scenario() -> None:
        sessions = ["a", *(f"s{number}" for number in range(20))]
        for session in sessions:
            await service.append(session, "t", "words")
        value = service.dapr.entries[DAMAGED].data
        service.dapr.entries[DAMAGED].data = "garbage"
        assert_named(await service.http.delete("/memories/u"))
        assert [key for key, it in service.dapr.values().items() if "words" in encoded(it)] == []
        if is_restored:
            service.dapr.entries[DAMAGED].data = value
        else:
            del service.dapr.entries[DAMAGED]
        assert (await service.http.delete("/memories/u")).status_code == 204
        assert [(await service.http.get(f"/conversations/{it}")).status_code for it in sessions] == [410] * 21
        assert [key for key, it in service.dapr.values().items() if "words" in encoded(it)] == []

    run(scenario())


@pytest.mark.parametrize("value", ["garbage", "{}", '{"items": [5]}'])
def test_a_damaged_bucket_does_not_hold_up_the_due_list(service: Service, value: str) -> None:
    """What is in other buckets is done, and the list counts as behind."""

    async def scenario() -> None:
        for turn in range(20):
            await service.append("a", str(turn), "a", "b")
        (page,) = [key for key in service.dapr.values() if key.startswith("session:a:") and key.endswith(":0")]
        await service.http.delete("/conversations/a")
        (bucket,) = [key for key in service.dapr.values() if key.startswith("due:") and key != "due:done"]
        minute, number = map(int, bucket.split(":")[1:])
        for damaged in (f"due:{minute}:{(number + 1) % 16}", f"due:{minute - 1}:{number}"):
            service.dapr.seed(damaged, {})
            service.dapr.entries[damaged].data = value
        service.dapr.seed(page, {"history": []})  # it was on its way
        await skip(5 * MINUTE_SECONDS)
        await service.memory.due_worker.run_pass()
        assert service.dapr.live(page) is None
        assert service.memory.due_worker.lag_seconds() > 0
        await skip(24 * 60 * MINUTE_SECONDS)
        await service.memory.due_worker.run_pass()
        await skip(MINUTE_SECONDS)
        service.dapr.calls.clear()
        await service.memory.due_worker.run_pass()
        assert service.dapr.calls["bulk"] < 60, "a pass reads every minute since"

    run(scenario())


def test_a_damaged_session_with_activity_marks_is_named_once(service: Service) -> None:
    """Its list has two entries then."""

    async def scenario() -> None:
        await service.append("a", "t", "words")
        await service.append("b", "t", "words")
        await skip(11 * MINUTE_SECONDS)
        await service.append("a", "t2", "words")
        service.dapr.entries[DAMAGED].data = "garbage"
        assert (await service.http.get("/memories/u/export")).json()["damaged"] == ["a"]

    run(scenario())


def test_a_damaged_session_that_is_listed_twice_is_named_once(service: Service) -> None:
    """Two replicas began it at the same time."""

    async def scenario() -> None:
        other = service.another_replica()
        service.sidecar.latency_seconds = other.sidecar.latency_seconds = 0.01
        await asyncio.gather(service.append("a", "t1", "words"), other.append("a", "t2", "words"))
        service.dapr.entries[DAMAGED].data = "garbage"
        for path in ("/memories/u/conversations", "/memories/u/export"):
            assert (await service.http.get(path)).json()["damaged"] == ["a"]

    run(scenario())


def test_a_turn_is_told_when_nothing_can_be_decrypted() -> None:
    """Each key of its read has an error then, as if the store were down. It is not, and one key is named."""
    sidecar = Undecryptable(cuts=False)
    sidecar.damaged = {DAMAGED, "user:u"}
    service = Service(create_app(SETTINGS, sidecar_transport=sidecar), sidecar.dapr, sidecar)

    async def scenario() -> None:
        await service.append("a", "t", "words")
        await service.http.patch("/memories/u", json={"goal": "learn"})
        sidecar.begun = True
        response = await service.http.get("/memories/u/recall?session_id=a")
        assert response.json()["detail"].startswith("The store responds, but its value of user:u cannot be read.")

    run(scenario())


def test_a_damaged_list_hides_no_profile(service: Service) -> None:
    """The first turn of a new session reads both together; the append then names the list."""

    async def scenario() -> None:
        await service.http.patch("/memories/u", json={"goal": "learn"})
        await service.append("a", "t", "x")
        service.dapr.entries[list_key("u")].data = "garbage"
        assert (await service.http.get("/memories/u?new_session_id=b")).json()["goal"] == "learn"
        response = await service.append("b", "t", "x")
        assert (response.status_code, list_key("u") in response.text) == (503, True)

    run(scenario())
