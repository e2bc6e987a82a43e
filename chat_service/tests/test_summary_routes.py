"""A session's summary can be corrected and removed, and what was begun before does not undo that."""

import asyncio

import httpx
import httpx2
import pytest

from agent.prompts import SUMMARY_INSTRUCTIONS, read_chat_instructions, read_summary_task
from settings import Settings
from tests.asgi_calls import background_ended
from tests.scripted_memory import ScriptedMemory, refusal
from tests.scripted_model import ScriptedModel, text

SUMMARY = "/sessions/s/summary?user_id=alice"
WRONG: dict[str, str | int] = {"text": "Alice has a cat.", "through": 14}
RIGHT = {"text": "Alice has a dog.", "through": 14}
HELLO = {"user_id": "alice", "text": "Hello", "metadata": {"session_id": "s"}}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Saves are waited for: none fails here."""
    return settings.model_copy(update={"save_timeout_seconds": 5.0})


@pytest.fixture(autouse=True)
def summarized(memory: ScriptedMemory) -> None:
    """A session with a summary that is wrong."""
    memory.remember("s", "alice", *[("assistant" if it % 2 else "user", f"m{it}") for it in range(16)])
    memory.sessions["s"].summary = {**WRONG}


async def shown(client: httpx.AsyncClient) -> object:
    """The summary that a client reads."""
    return (await client.get("/sessions/s/messages?user_id=alice")).json()["summary"]


async def test_summary_is_corrected(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """The corrected text is stored, shown, and given to the model. The correction may be repeated."""
    for _ in range(2):
        response = await client.put(SUMMARY, json=RIGHT)
        assert (response.status_code, response.json()) == (200, RIGHT)
    assert await shown(client) == RIGHT
    await client.post("/chat/", json=HELLO)
    read = read_chat_instructions(str(model.requests[0].messages[0]["content"]))
    assert read is not None
    assert read.summary == RIGHT["text"]


async def test_summary_is_removed(client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel) -> None:
    """The messages stay, and the model gets no summary of them. Removing may be repeated."""
    for _ in range(2):
        assert (await client.delete(SUMMARY)).status_code == 204
    assert await shown(client) == {"text": "", "through": 14}
    assert len(memory.sessions["s"].entries) == 16
    await client.post("/chat/", json=HELLO)
    read = read_chat_instructions(str(model.requests[0].messages[0]["content"]))
    assert read is not None
    assert read.summary is None


async def test_next_summary_has_nothing_of_a_removed_one(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """It is made of the later messages only."""
    await client.delete(SUMMARY)
    memory.remember("s", "alice", *[("user", f"later {it}") for it in range(16)])
    model.respond_with(text("Good."), text("They talked later."))
    await client.post("/chat/", json=HELLO)
    await background_ended()
    task = read_summary_task(str(model.requests[1].messages[1]["content"]))
    assert task is not None
    assert (task.summary, task.messages[0].content) == (None, "m14")
    assert memory.sessions["s"].summary == {"text": "They talked later.", "through": 32}


@pytest.mark.parametrize("corrected", ["corrected", "removed"])
async def test_summary_begun_before_does_not_bring_the_old_text_back(
    client: httpx.AsyncClient,
    memory: ScriptedMemory,
    model: ScriptedModel,
    caplog: pytest.LogCaptureFixture,
    corrected: str,
) -> None:
    """The model still condenses the old text when the user changes it: what it says is dropped."""
    caplog.set_level("INFO")
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> httpx2.Response:
        asked.set()
        await go_on.wait()
        return text("Alice has a cat, and said more.")

    memory.remember("s", "alice", *[("user", f"later {it}") for it in range(16)])
    model.respond_with(text("Good."), slowly)
    await client.post("/chat/", json=HELLO)
    async with asyncio.timeout(5):
        await asked.wait()
    assert model.requests[1].messages[0]["content"] == SUMMARY_INSTRUCTIONS
    changed = await (client.put(SUMMARY, json=RIGHT) if corrected == "corrected" else client.delete(SUMMARY))
    assert changed.is_success
    go_on.set()
    await background_ended()
    assert memory.sessions["s"].summary == (RIGHT if corrected == "corrected" else {"text": "", "through": 14})
    assert "summary dropped session=s code=summary_conflict" in caplog.text


async def test_correction_of_another_summary_is_refused(client: httpx.AsyncClient, memory: ScriptedMemory) -> None:
    """If a newer summary was stored since the client read it, nothing is lost: 409."""
    newer: dict[str, str | int] = {"text": "Alice has a cat, and asked.", "through": 16}
    memory.sessions["s"].summary = {**newer}
    response = await client.put(SUMMARY, json=RIGHT)
    assert (response.status_code, response.json()["code"]) == (409, "summary_conflict")
    assert "read it again" in response.json()["detail"]
    assert memory.sessions["s"].summary == newer


async def test_summary_of_a_history_that_is_too_large_is_refused(
    client: httpx.AsyncClient, memory: ScriptedMemory
) -> None:
    """A repeat would not help, so the response says what does."""
    memory.respond_always(refusal(413, "history_too_large"), "summary")
    for method, body in (("PUT", RIGHT), ("DELETE", None)):
        response = await client.request(method, SUMMARY, json=body)
        assert (response.status_code, response.json()["code"]) == (413, "history_too_large")
        assert "start a new session" in response.json()["detail"]
        assert "retry-after" not in response.headers
        described = (await client.get("/openapi.json")).json()["paths"]["/sessions/{session_id}/summary"]
        assert "history_too_large" in described[method.lower()]["responses"]["413"]["description"]


async def test_session_without_a_summary(client: httpx.AsyncClient, memory: ScriptedMemory) -> None:
    """There is nothing to correct, and removing is done already. So it is in a session that does not exist."""
    memory.sessions["s"].summary = None
    for path in (SUMMARY, "/sessions/new/summary?user_id=alice"):
        response = await client.put(path, json=RIGHT)
        assert (response.status_code, response.json()["code"]) == (404, "summary_unknown")
        assert (await client.delete(path)).status_code == 204
    assert memory.calls("summary") == []


async def test_summary_is_its_owners(client: httpx.AsyncClient, memory: ScriptedMemory) -> None:
    """Another user gets 403, and an owner of a deleted session 410."""
    for method in ("PUT", "DELETE"):
        body = RIGHT if method == "PUT" else None
        refused = await client.request(method, "/sessions/s/summary?user_id=bob", json=body)
        assert (refused.status_code, refused.json()["code"]) == (403, "not_owner")
        memory.respond_next("history", refusal(410, "session_deleted"))
        assert (await client.request(method, SUMMARY, json=body)).status_code == 410
    assert memory.sessions["s"].summary == WRONG


@pytest.mark.parametrize(
    "bad", [{"text": " \n"}, {"text": "x" * 4_001}, {"through": -1}, {"through": False}, {"through": "2"}]
)
async def test_bad_correction_is_refused(
    client: httpx.AsyncClient, memory: ScriptedMemory, bad: dict[str, object]
) -> None:
    """An empty or long text is 422, without a call to memory: to remove a summary there is DELETE."""
    assert (await client.put(SUMMARY, json={**RIGHT, **bad})).status_code == 422
    assert memory.requests == []
