"""If memory fails, partly or wholly, the reply is still sent and reports it."""

import asyncio

import httpx
import httpx2
import pytest

from main import create_app
from settings import Settings
from tests.scripted_memory import Kind, ScriptedMemory, refusal, sidecar_failure
from tests.scripted_model import ScriptedModel

HELLO = {"user_id": "alice", "text": "Hello", "metadata": {"session_id": "s1"}}
KINDS: list[Kind] = ["recall", "append"]
DROPPED = httpx.ConnectTimeout("sent, but no response")


@pytest.mark.parametrize("kinds", [["recall"], ["append"], KINDS])
@pytest.mark.parametrize(
    "failure",
    [DROPPED, sidecar_failure(), refusal(503, "store_unavailable"), httpx.Response(431, text="too large")],
    ids=["dropped", "sidecar", "store", "plain text"],
)
async def test_reply_is_sent_without_memory(
    client: httpx.AsyncClient, memory: ScriptedMemory, kinds: list[Kind], failure: httpx.Response | Exception
) -> None:
    """If the read or the save fails, or both, the reply is sent and its metadata reports it."""
    memory.remember("s1", "alice", ("user", "Hi"), ("assistant", "Hi"))
    memory.respond_always(failure, *kinds)
    response = await client.post("/chat/", json=HELLO)
    metadata = response.json()["metadata"]
    assert (response.status_code, response.json()["reply"]) == (200, "Good.")
    is_refused = isinstance(failure, httpx.Response) and failure.status_code < 500
    assert metadata["history"] == ("saved" if "append" not in kinds else "not_saved" if is_refused else "unknown")
    assert ("code" in metadata) == ("append" in kinds)
    assert metadata["memory"] == "unavailable"


async def test_defaults_replace_the_profile(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """If memory cannot be read, the tutorial's defaults replace the profile, and the model gets the message alone."""
    memory.remember("s1", "alice", ("user", "Hi"), ("assistant", "Hi"))
    memory.respond_next("recall", sidecar_failure())
    await client.post("/chat/", json=HELLO)
    system, *said = model.requests[0].messages
    assert '{"name": "alice", "preferred_style": "casual", "goal": "chat"}' in str(system["content"])
    assert [message["content"] for message in said] == ["Hello"]


@pytest.mark.parametrize(("status", "code"), [(403, "not_owner"), (410, "session_deleted")])
async def test_rejected_session_gets_no_reply(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel, status: int, code: str
) -> None:
    """Another user's session and a deleted session are rejected before the model is asked."""
    memory.respond_next("recall", refusal(status, code))
    response = await client.post("/chat/", json=HELLO)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert model.requests == []
    assert memory.calls("append") == []


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "not_owner"), (410, "session_deleted"), (413, "history_too_large"), (422, "invalid_request")],
)
async def test_rejection_of_the_append_is_reported(
    client: httpx.AsyncClient, memory: ScriptedMemory, status: int, code: str
) -> None:
    """If memory rejects the append, the reply is sent as not saved, with the code, after one attempt."""
    memory.respond_always(refusal(status, code), "append")
    metadata = (await client.post("/chat/", json=HELLO)).json()["metadata"]
    assert (metadata["history"], metadata["code"], metadata["memory"]) == ("not_saved", code, "ok")
    assert len(memory.calls("append")) == 1


@pytest.mark.parametrize("failure", [DROPPED, sidecar_failure(), refusal(503, "store_conflict")])
async def test_save_is_retried(
    client: httpx.AsyncClient, memory: ScriptedMemory, failure: httpx.Response | Exception
) -> None:
    """A failed append is retried with its turn id, so the turn is in the history once."""
    memory.respond_next("append", failure)
    assert (await client.post("/chat/", json=HELLO)).json()["metadata"]["history"] == "saved"
    assert len(memory.calls("append")) == 2
    assert len(memory.sessions["s1"].entries) == 2


async def test_append_with_a_lost_response_is_found(client: httpx.AsyncClient, memory: ScriptedMemory) -> None:
    """An append that was executed but lost its response is found by the retry: saved, once."""

    async def done_and_lost() -> httpx.Response:
        request = memory.calls("append")[-1]
        await memory.handle(request)
        raise DROPPED

    memory.respond_next("append", done_and_lost)
    assert (await client.post("/chat/", json=HELLO)).json()["metadata"]["history"] == "saved"
    assert len(memory.sessions["s1"].entries) == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_hanging_memory_is_given_up(
    memory: ScriptedMemory, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """A memory service that never responds delays the reply by a call's time limit, no more."""
    monkeypatch.setattr("memory_client.CALL_TIMEOUT_SECONDS", 0.02)
    memory.respond_always(_hang, kind)
    app = create_app(
        Settings(llm_base_url="http://model.test/v1", llm_model="scripted", save_timeout_seconds=0.05),
        memory_transport=httpx.MockTransport(memory.handle),
        model_transport=httpx2.MockTransport(model.handle),
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://chat.test") as client:
        response = await client.post("/chat/", json=HELLO)
    assert (response.status_code, response.json()["metadata"]["memory"]) == (200, "unavailable")


@pytest.mark.parametrize(("kind", "session"), [("profile", None), ("recall", "s1")])
async def test_response_of_another_shape_is_a_failure(
    client: httpx.AsyncClient, memory: ScriptedMemory, kind: Kind, session: str | None
) -> None:
    """A response of another shape is a failure, not an empty profile or history; also for a new session."""
    memory.respond_next(kind, httpx.Response(200, json={"hello": "world"}))
    message = {**HELLO, "metadata": {"session_id": session}} if session else {"user_id": "alice", "text": "Hello"}
    assert (await client.post("/chat/", json=message)).json()["metadata"]["memory"] == "unavailable"


async def test_readiness_follows_the_memory_service(client: httpx.AsyncClient, memory: ScriptedMemory) -> None:
    """Readiness is that of the memory service; the result is reused for a moment."""
    memory.respond_next("ready", refusal(503, "store_unavailable"))
    response = await client.get("/health/ready")
    assert (response.status_code, response.json()["code"]) == (503, "store_unavailable")
    assert (await client.get("/health/ready")).status_code == 503
    assert len(memory.calls("ready")) == 1
    assert (await client.get("/health/live")).status_code == 200


async def test_readiness_is_asked_again(
    client: httpx.AsyncClient, memory: ScriptedMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When memory recovers, the service is ready again."""
    monkeypatch.setattr("health.CACHED_SECONDS", 0.0)
    memory.respond_next("ready", sidecar_failure())
    statuses = [(await client.get("/health/ready")).status_code for _ in range(2)]
    assert statuses == [503, 200]


async def test_reply_at_the_last_moment_is_sent(
    memory: ScriptedMemory, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reply that arrives just before the turn's time limit is sent, as unknown if memory hangs."""
    monkeypatch.setattr("turn.pipeline.MIN_SAVE_SECONDS", 0.05)
    memory.respond_always(_hang, "append")
    app = create_app(
        Settings(llm_base_url="http://model.test/v1", llm_model="scripted", turn_timeout_seconds=0.3),
        memory_transport=httpx.MockTransport(memory.handle),
        model_transport=httpx2.MockTransport(model.handle),
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://chat.test") as client:
        response = await client.post("/chat/", json=HELLO)
    assert (response.status_code, response.json()["metadata"]["history"]) == (200, "unknown")


async def _hang() -> httpx.Response:
    await asyncio.Event().wait()
    raise AssertionError
