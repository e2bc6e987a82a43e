"""The routes about what is stored of a user: pages of sessions and messages, the profile, facts, export, erase."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

import memory_user_data
from tests.asgi_calls import StreamedCall
from tests.scripted_memory import Kind, ScriptedMemory, refusal, sidecar_failure

FACTS = "/users/alice/facts"
KEY = {"Idempotency-Key": "k1"}


async def test_sessions_come_in_pages(client: httpx.AsyncClient, memory: ScriptedMemory) -> None:
    """A page of sessions has what a list shows, and the cursor of the next page."""
    for number in range(3):
        memory.remember(f"s{number}", "alice", ("user", f"Question {number}"), ("assistant", "Answer"))
    memory.remember("other", "bob", ("user", "secret"))
    first = (await client.get("/users/alice/sessions?limit=2")).json()
    assert [it["session_id"] for it in first["sessions"]] == ["s0", "s1"]
    assert first["sessions"][0] == {
        "session_id": "s0",
        "created_at": "then",
        "updated_at": "now",
        "messages": 2,
        "title": "Question 0",
    }
    second = (await client.get(f"/users/alice/sessions?limit=2&before={first['before']}")).json()
    assert ([it["session_id"] for it in second["sessions"]], second["before"]) == (["s2"], None)
    assert (await client.get("/users/alice/sessions?limit=101")).status_code == 422


async def test_sessions_that_cannot_be_read_are_named(client: httpx.AsyncClient, memory: ScriptedMemory) -> None:
    """What memory says of damaged sessions is passed on."""
    memory.respond_next("sessions", httpx.Response(200, json={"conversations": [], "before": None, "damaged": ["s"]}))
    page = (await client.get("/users/alice/sessions")).json()
    assert page == {"sessions": [], "before": None, "damaged": ["s"]}


async def test_messages_come_in_pages(client: httpx.AsyncClient, memory: ScriptedMemory) -> None:
    """The newest messages come first, oldest first within a page, with the summary and the cursor."""
    memory.remember("s", "alice", *[("user", f"{number}") for number in range(5)])
    memory.sessions["s"].summary = {"text": "They counted.", "through": 3}
    page = (await client.get("/sessions/s/messages?user_id=alice&limit=2")).json()
    assert [it["content"] for it in page["messages"]] == ["3", "4"]
    assert set(page["messages"][0]) == {"role", "content", "timestamp", "turn_id"}
    assert (page["session_id"], page["total"]) == ("s", 5)
    assert page["summary"] == {"text": "They counted.", "through": 3}
    older = (await client.get(f"/sessions/s/messages?user_id=alice&limit=2&before={page['before']}")).json()
    assert [it["content"] for it in older["messages"]] == ["1", "2"]
    assert (await client.get("/sessions/s/messages?user_id=alice&limit=61")).status_code == 422


async def test_session_that_does_not_exist_has_no_messages(client: httpx.AsyncClient) -> None:
    """It is an empty page, unlike a failure."""
    page = (await client.get("/sessions/new/messages?user_id=alice")).json()
    assert page == {"session_id": "new", "messages": [], "total": 0, "before": None, "summary": None}


async def test_session_is_deleted_by_its_owner(client: httpx.AsyncClient, memory: ScriptedMemory) -> None:
    """Another user gets 403. A repeated delete is 204."""
    memory.remember("s", "alice", ("user", "Hi"))
    refused = await client.delete("/sessions/s?user_id=bob")
    assert (refused.status_code, refused.json()["code"]) == (403, "not_owner")
    for _ in range(2):
        assert (await client.delete("/sessions/s?user_id=alice")).status_code == 204
    assert memory.sessions == {}


async def test_profile_is_read_and_changed(client: httpx.AsyncClient) -> None:
    """A change of some fields leaves the others."""
    default = {"name": "alice", "preferred_style": "casual", "goal": "chat"}
    assert (await client.get("/users/alice/profile")).json() == default
    changed = await client.patch("/users/alice/profile", json={"goal": "learn", "name": None})
    assert changed.json() == {**default, "goal": "learn"}
    for bad in ({"age": "5"}, {"goal": "x" * 2_001}):
        assert (await client.patch("/users/alice/profile", json=bad)).status_code == 422


async def test_fact_lives_through_its_routes(client: httpx.AsyncClient) -> None:
    """A fact is remembered once, corrected and forgotten."""
    made = await client.post(FACTS, json={"text": "Likes tea", "session_id": "s"})
    assert made.status_code == 201
    assert made.json() == {"fact_id": "f0", "text": "Likes tea", "created_at": "then", "session_id": "s"}
    again = await client.post(FACTS, json={"text": "likes TEA"})
    assert (again.status_code, again.json()) == (200, made.json())
    corrected = await client.patch(f"{FACTS}/f0", json={"text": "Likes coffee"})
    assert (await client.get(FACTS)).json() == {"facts": [corrected.json()]}
    for _ in range(2):
        assert (await client.delete(f"{FACTS}/f0")).status_code == 204
    gone = await client.patch(f"{FACTS}/f0", json={"text": "Likes tea"})
    assert (gone.status_code, gone.json()["code"]) == (404, "fact_unknown")


@pytest.mark.parametrize("text", ["", " \n", "x" * 301])
async def test_text_that_is_no_fact_is_refused(client: httpx.AsyncClient, memory: ScriptedMemory, text: str) -> None:
    """An empty or long text is 422, without a call to memory."""
    assert (await client.post(FACTS, json={"text": text})).status_code == 422
    assert memory.requests == []


CALLS: list[tuple[Kind, str, str, object]] = [
    ("sessions", "GET", "/users/alice/sessions", None),
    ("history", "GET", "/sessions/s/messages?user_id=alice", None),
    ("history", "GET", "/sessions/s/messages?user_id=alice&before=5", None),
    ("delete", "DELETE", "/sessions/s?user_id=alice", None),
    ("history", "PUT", "/sessions/s/summary?user_id=alice", {"text": "Alice has a dog.", "through": 2}),
    ("history", "DELETE", "/sessions/s/summary?user_id=alice", None),
    ("profile", "GET", "/users/alice/profile", None),
    ("change", "PATCH", "/users/alice/profile", {"goal": "learn"}),
    ("facts", "GET", FACTS, None),
    ("remember", "POST", FACTS, {"text": "Likes tea"}),
    ("correct", "PATCH", f"{FACTS}/f0", {"text": "Likes tea"}),
    ("forget", "DELETE", f"{FACTS}/f0", None),
    ("export", "GET", "/users/alice/export", None),
    ("erase", "DELETE", "/users/alice", None),
]


@pytest.mark.parametrize(("kind", "method", "path", "body"), CALLS)
async def test_failure_is_told_from_absence(
    client: httpx.AsyncClient, memory: ScriptedMemory, kind: Kind, method: str, path: str, body: object
) -> None:
    """A failed store or sidecar is 503 with what to do and Retry-After, on every route."""
    memory.respond_next(kind, refusal(503, "store_unavailable"), sidecar_failure(), httpx.ReadError("lost"))
    for code in ("store_unavailable", "memory_unavailable", "memory_unavailable"):
        response = await client.request(method, path, json=body)
        assert (response.status_code, response.json()["code"]) == (503, code)
        assert "again" in response.json()["detail"]
        assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("kind", "path", "status", "code"),
    [
        ("sessions", "/users/alice/sessions?before=5-ab", 409, "history_replaced"),
        ("history", "/sessions/s/messages?user_id=alice", 410, "session_deleted"),
        ("history", "/sessions/s/messages?user_id=alice", 403, "not_owner"),
    ],
)
async def test_rejection_of_a_read_is_passed_on(
    client: httpx.AsyncClient, memory: ScriptedMemory, kind: Kind, path: str, status: int, code: str
) -> None:
    """What the memory service rejects has the same status and code here."""
    memory.respond_next(kind, refusal(status, code))
    response = await client.get(path)
    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_too_many_facts_are_refused(client: httpx.AsyncClient, memory: ScriptedMemory) -> None:
    """The refusal says what to do."""
    memory.respond_next("remember", refusal(409, "too_many_facts"))
    response = await client.post(FACTS, json={"text": "Likes tea"})
    assert (response.status_code, response.json()["code"]) == (409, "too_many_facts")
    assert "remove one" in response.json()["detail"]


@pytest.mark.parametrize("path", ["/sessions/s/messages", "/sessions/s/messages?user_id=a%2Fb", "/users/a|b/facts"])
async def test_user_must_be_named(client: httpx.AsyncClient, path: str) -> None:
    """Without identity the caller says who the user is, with an id."""
    response = await client.get(path)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")


async def test_export_is_a_file(client: httpx.AsyncClient) -> None:
    """The export is sent as an attachment, as the memory service gives it."""
    await client.post(FACTS, json={"text": "Likes tea"})
    response = await client.get("/users/alice/export")
    assert response.headers["content-disposition"] == 'attachment; filename="what-is-remembered.json"'
    assert response.json()["facts"][0]["text"] == "Likes tea"


async def test_export_of_any_length_is_passed_on_piece_by_piece(app: FastAPI, memory: ScriptedMemory) -> None:
    """More bytes than any other response may have, and none is held: the client has the first before the last came."""
    gate = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"x" * 1024 * 1024
        await gate.wait()
        for _ in range(9):
            yield b"x" * 1024 * 1024

    memory.respond_next("export", httpx.Response(200, content=pieces()))
    async with StreamedCall(app, "/users/alice/export", {}, method="GET") as call:
        await call.until(lambda text: len(text) == 1024 * 1024)
        gate.set()
        assert len(await call.ended()) == 10 * 1024 * 1024


async def test_export_that_breaks_off_has_no_end(
    app: FastAPI, memory: ScriptedMemory, caplog: pytest.LogCaptureFixture
) -> None:
    """No client takes a part of an export as whole: the body is not ended, and the log says why."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"x"
        raise httpx.ReadError("lost")

    memory.respond_next("export", httpx.Response(200, content=pieces()))
    async with StreamedCall(app, "/users/alice/export", {}, method="GET") as call:
        await call.ended()
    assert (call.text, call.is_complete) == ("x", False)
    assert "export cut short" in caplog.text


class BrokenBody(httpx.AsyncByteStream):
    """A body that breaks off, and notes that its connection was given back."""

    is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"{"
        raise httpx.ReadError("lost")

    async def aclose(self) -> None:
        """Note it."""
        self.is_closed = True


async def test_refused_export_that_breaks_off_is_closed(client: httpx.AsyncClient, memory: ScriptedMemory) -> None:
    """An error of the memory service whose body breaks off keeps no connection."""
    body = BrokenBody()
    memory.respond_next("export", httpx.Response(500, stream=body))
    assert (await client.get("/users/alice/export")).status_code == 503
    assert body.is_closed


@pytest.mark.parametrize("memory_works", [True, False])
@pytest.mark.parametrize(
    ("path", "sessions_after"),
    [
        ("/sessions/s1?user_id=alice", {"s2"}),
        ("/users/alice", set()),
        ("/sessions/s1?user_id=bob", {"s1", "s2"}),
        ("/users/bob", {"s1", "s2"}),
    ],
)
async def test_reply_that_was_not_saved_is_erased_too(
    client: httpx.AsyncClient, memory: ScriptedMemory, path: str, sessions_after: set[str], *, memory_works: bool
) -> None:
    """A kept reply of what is deleted is not saved by a later resume, also if memory could not delete."""
    turns = [
        {"user_id": "alice", "text": "Hello", "metadata": {"session_id": session_id}} for session_id in ("s1", "s2")
    ]
    memory.respond_always(sidecar_failure(), "append", "delete", "erase")
    for turn in turns:
        await client.post("/chat/", json=turn, headers=KEY)
    if memory_works:
        memory.recover()
    await client.delete(path)
    memory.recover()
    for turn in turns:
        await client.post("/chat/?resume=true", json=turn, headers=KEY)
    assert memory.sessions.keys() == sessions_after


@pytest.mark.parametrize(("kind", "path"), [("delete", "/sessions/s1?user_id=alice"), ("erase", "/users/alice")])
async def test_reply_whose_save_fails_during_the_erase_is_erased_too(
    client: httpx.AsyncClient, memory: ScriptedMemory, kind: Kind, path: str
) -> None:
    """A reply that is kept while memory deletes is not saved by a later resume."""
    turn = {"user_id": "alice", "text": "Hello", "metadata": {"session_id": "s1"}}
    memory.respond_always(sidecar_failure(), "append")
    held = memory.hold_next(kind, httpx.Response(204))
    deleting = asyncio.create_task(client.delete(path))
    await held.asked.wait()
    await client.post("/chat/", json=turn, headers=KEY)
    held.let.set()
    assert (await deleting).status_code == 204
    memory.recover()
    assert (await client.post("/chat/?resume=true", json=turn, headers=KEY)).status_code == 404


async def test_erase_that_takes_long_goes_on(
    client: httpx.AsyncClient, memory: ScriptedMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client learns that the erase is not finished and goes on."""
    monkeypatch.setattr(memory_user_data, "ERASE_TIMEOUT_SECONDS", 0.05)

    async def never() -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    memory.respond_next("erase", never)
    response = await client.delete("/users/alice")
    assert (response.status_code, response.json()["code"]) == (503, "erase_unfinished")
    assert (await client.delete("/users/alice")).status_code == 204
