"""What a turn reads: by one call, and kept for its append, which then is one call too."""

import asyncio
import json

import httpx
import pytest

from documents import Document
from log import kept_heads
from log.kept_heads import KEPT_SECONDS, KeptHeads
from log.page_plan import Head
from log.sweeps import TOMBSTONE_TTL_SECONDS
from main import create_app
from tests.fake_clients import Fault, Sidecar, is_write
from tests.fake_dapr import FakeDapr
from tests.fake_time import run
from tests.rules_harness import Simulate, settled
from tests.service_under_test import Service
from tests.store_kinds import StoreKind
from tests.workload import SETTINGS, Append, Delete, Operation, Replace


async def recalled(service: Service, session: str = "s", user: str = "u", **query: object) -> httpx.Response:
    parameters = {"session_id": session, **query}
    return await service.http.get(f"/memories/{user}/recall", params=parameters)  # type: ignore[arg-type]


def test_it_is_what_the_single_routes_return(service: Service) -> None:
    """Profile, facts, messages, summary and the turn itself are those of the routes that return one of them."""

    async def scenario() -> None:
        await service.http.patch("/memories/u", json={"goal": "learn"})
        await service.http.post("/memories/u/facts", json={"text": "Likes tea"})
        for turn in range(15):
            await service.append("s", f"t{turn}", f"asked {turn}", f"answered {turn}")
        state = (await service.http.get("/conversations/s?last=1")).json()
        await service.http.put("/conversations/s/summary", json={"text": "Tea.", "through": 4, "epoch": state["epoch"]})
        found = (await recalled(service, turn_id="t3")).json()
        assert found["memories"] == (await service.http.get("/memories/u?facts=true")).json()
        assert found["conversation"] == (await service.http.get("/conversations/s?last=20&turn_id=t3")).json()
        assert found["conversation"]["turn"]["turn_id"] == "t3"
        fewer = (await recalled(service, last=3)).json()["conversation"]
        assert fewer == (await service.http.get("/conversations/s?last=3")).json()

    run(scenario())


def test_nothing_is_stored_yet(service: Service) -> None:
    """A new user with a new session: the default profile and no messages."""

    async def scenario() -> None:
        found = (await recalled(service)).json()
        assert found["memories"] == (await service.http.get("/memories/u?facts=true")).json()
        assert found["conversation"] == (await service.http.get("/conversations/s?last=20&user_id=u")).json()

    run(scenario())


def test_a_turn_is_one_read_and_one_write(service: Service) -> None:
    """At the store: one bulk read of two keys, and one save."""

    async def scenario() -> None:
        await service.append("s", "first", "a", "b")
        service.dapr.calls.clear()
        await recalled(service)
        response = await service.append("s", "second", "c", "d")
        assert response.status_code == 201
        assert service.dapr.calls == {"bulk": 1, "save": 1}
        await service.append("s", "third", "e", "f")
        assert service.dapr.calls == {"bulk": 1, "save": 2, "get": 1}

    run(scenario())


def test_the_first_turn_of_a_new_session_is_one_read_and_two_writes(service: Service) -> None:
    """One bulk read has the profile and the user's list; the saves are the list's and the session's."""

    async def scenario() -> None:
        await service.http.patch("/memories/u", json={"goal": "learn"})
        await service.append("s", "t", "a")
        profile = (await service.http.get("/memories/u?facts=true")).json()
        for user, session in (("u", "new"), ("v", "first")):
            service.dapr.calls.clear()
            found = await service.http.get(f"/memories/{user}?facts=true&new_session_id={session}")
            assert (found.json() == profile) is (user == "u")
            response = await service.append(session, "t", "hello", user=user)
            assert (response.status_code, response.json()["total"]) == (201, 1)
            assert service.dapr.calls == {"bulk": 1, "save": 2}
        listed = (await service.http.get("/memories/u/conversations")).json()["conversations"]
        assert [it["session_id"] for it in listed] == ["new", "s"]

    run(scenario())


def test_a_session_that_recall_did_not_find_is_not_looked_for_again(service: Service) -> None:
    """The append to it reads the user's list alone."""

    async def scenario() -> None:
        await recalled(service)
        service.dapr.calls.clear()
        assert (await service.append("s", "t", "a")).status_code == 201
        assert service.dapr.calls == {"get": 1, "save": 2}

    run(scenario())


@pytest.mark.parametrize(("user", "status", "total"), [("u", 201, 2), ("v", 403, 1)])
def test_a_session_taken_for_new_that_is_not(service: Service, user: str, status: int, total: int) -> None:
    """The store refuses to create it, and the append decides on what is there."""

    async def scenario() -> None:
        await service.append("s", "t1", "a")
        await service.http.get(f"/memories/{user}?new_session_id=s")
        assert (await service.append("s", "t2", "b", user=user)).status_code == status
        assert len(await service.contents("s")) == total

    run(scenario())


@pytest.mark.parametrize(("user", "status", "code"), [("v", 403, "not_owner"), ("u", 410, "session_deleted")])
def test_a_session_that_is_not_the_users_is_refused(service: Service, user: str, status: int, code: str) -> None:
    """Another user's session, or one that was deleted: the same errors as those of the single routes."""

    async def scenario() -> None:
        await service.append("s", "t", "secret")
        if code == "session_deleted":
            await service.http.delete("/conversations/s")
        response = await recalled(service, user=user)
        assert (response.status_code, response.json()["code"]) == (status, code)
        assert "secret" not in response.text

    run(scenario())


@pytest.mark.parametrize("is_same_replica", [True, False])
@pytest.mark.parametrize(("method", "path"), [("DELETE", "/conversations/s"), ("DELETE", "/memories/u"), ("POST", "")])
def test_a_repeat_is_not_answered_from_a_kept_head(
    service: Service, method: str, path: str, *, is_same_replica: bool
) -> None:
    """What is found there may be gone: only a read says so."""

    async def scenario() -> None:
        other = service.another_replica()
        await service.append("s", "t", "secret")
        await recalled(service)
        body = {"history": [{"role": "user", "content": "x"}]} if method == "POST" else None
        changer = service if is_same_replica else other
        assert (await changer.http.request(method, path or "/conversations/s", json=body)).status_code in (200, 204)
        again = await service.append("s", "t", "secret")
        assert again.status_code == (201 if method == "POST" else 410)

    run(scenario())


CHANGES: list[Operation] = [Append("s", "other", size=2), Replace("s", "X", size=4), Delete("s")]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: type(change).__name__)
def test_a_kept_head_that_another_replica_changed_is_not_written_over(simulate: Simulate, change: Operation) -> None:
    """A reads; the session changes elsewhere; A's append is refused by the store, and decides on what is there."""
    simulation = simulate([Append("s", "late", recalled=True)], [change], before=[Append("s", "first")])
    simulation.reach("0.0", "save session:s")
    simulation.complete("1.0")
    simulation.complete("0.0")
    view = settled(simulation)
    assert ("late" in view.turns) == (not isinstance(change, Delete))


class WithoutBulkEtags(Sidecar):
    """A sidecar whose bulk reads have no etags, as of a store that Dapr reads in another way."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        if not request.url.path.endswith("/bulk"):
            return response
        items = json.loads(await response.aread())
        return httpx.Response(200, json=[{name: it[name] for name in it if name != "etag"} for it in items])


def test_a_head_without_an_etag_is_not_kept(kind: StoreKind) -> None:
    """A write without a condition could write over another turn."""

    async def scenario() -> None:
        dapr = FakeDapr(lambda: asyncio.get_running_loop().time(), kind)
        sidecar = WithoutBulkEtags(dapr)
        service = Service(create_app(SETTINGS, sidecar_transport=sidecar), dapr, sidecar)
        await service.append("s", "first", "a")
        assert (await recalled(service)).status_code == 200
        dapr.calls.clear()
        await service.append("s", "second", "b")
        assert dapr.calls == {"get": 1, "save": 1}

    run(scenario())


FAILING: list[tuple[str, Fault, int]] = [
    ("POST /conversations/s/turns", Fault.RESPONSE_LOST, 201),
    ("PATCH /memories/u", Fault.RESPONSE_LOST, 200),
    ("GET /memories/u/recall?session_id=s", Fault.ITEM_ERRORS, 200),
    ("GET /memories/u/recall?session_id=s", Fault.RESPONSE_CUT, 200),
    ("GET /conversations/s?last=1", Fault.REQUEST_LOST, 503),
    ("GET /conversations/s?last=1", Fault.ERROR_NOT_DONE, 200),
    ("GET /memories/u/conversations", Fault.RESPONSE_CUT, 200),
]


@pytest.mark.parametrize(("request_line", "fault", "status"), FAILING)
def test_a_failed_call_drops_what_is_kept(service: Service, request_line: str, fault: Fault, status: int) -> None:
    """A store that restarts may have lost its last writes, and count the next ones with the same numbers.

    So it is if a second call succeeds, and the request with it.
    """

    async def scenario() -> None:
        for session in "st":
            await service.append(session, "first", "a")
            await recalled(service, session)
        failing = iter([fault])
        method, path = request_line.split(" ")
        service.sidecar.faults = lambda request: (
            next(failing, Fault.NONE) if is_write(request) is (method != "GET") else Fault.NONE
        )
        turn = {"turn_id": "second", "user_id": "u", "entries": [{"role": "user", "content": "b"}]}
        bodies: dict[str, object] = {"POST": turn, "PATCH": {"goal": "learn"}}
        response = await service.http.request(method, path, json=bodies.get(method))
        assert response.status_code == status
        assert next(failing, None) is None
        service.dapr.calls.clear()
        await service.append("t", "second", "b")
        assert service.dapr.calls == {"get": 1, "save": 1}

    run(scenario())


def head_of(name: str) -> tuple[str, Head, str, int]:
    document: Document = {"owner": name}
    return name, Head(fields=document), "1", 100


def test_heads_are_kept_for_a_time_and_a_number() -> None:
    """Each is taken once. The oldest ones go when there are too many, too many bytes, or after their time."""

    async def scenario() -> None:
        kept = KeptHeads()
        kept.keep(*head_of("a"))
        assert kept.take("a") is not None
        assert kept.take("a") is None
        kept.keep(*head_of("a"))
        await asyncio.sleep(KEPT_SECONDS)
        assert kept.take("a") is None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kept_heads, "MAX_KEPT_HEADS", 2)
            for name in "abc":
                kept.keep(*head_of(name))
            assert [kept.take(name) is not None for name in "abc"] == [False, True, True]
            patch.setattr(kept_heads, "MAX_KEPT_BYTES", 250)
            kept.keep("long", Head(), "1", 251)
            assert kept.take("long") is None
            for name in "ab":
                kept.keep(*head_of(name))
            kept.keep("c", Head(), "1", 100)
            assert [kept.take(name) is not None for name in "abc"] == [False, True, True]

    run(scenario())


def test_no_head_is_kept_as_long_as_a_tombstone_stays() -> None:
    """An etag of Redis may come back only after the key was gone, and it goes by its tombstone."""
    assert KEPT_SECONDS * 100 < TOMBSTONE_TTL_SECONDS
