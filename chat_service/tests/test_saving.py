"""What counts as a save: only a recorded turn. A save without an outcome is unknown, not failed."""

import asyncio
import json
import socket
from unittest.mock import AsyncMock, patch

import httpx
import httpx2
import pytest
from fastapi import FastAPI

from main import create_app
from memory_client import NOT_UNDERSTOOD
from settings import Settings
from tests.scripted_memory import ScriptedMemory, refusal, sidecar_failure
from tests.scripted_model import ScriptedModel, text
from turn.saving import MAX_ENTRY_BYTES

HELLO = {"user_id": "alice", "text": "Hello", "metadata": {"session_id": "s1"}}
KEY = {"Idempotency-Key": "k1"}
LOST = httpx.ReadTimeout("sent, but no response")


def recorded(status: int = 201, **changed: object) -> httpx.Response:
    """A response with a recorded turn, with some of its fields changed."""
    entries = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good."}]
    return httpx.Response(status, json={"turn_id": "t", "seq": 0, "entries": entries, "total": 2, **changed})


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(202),
        httpx.Response(204),
        httpx.Response(200),
        httpx.Response(200, html="<h1>Sign in</h1>"),
        httpx.Response(200, json={"status": "ok"}),
        httpx.Response(201, content=b'{"turn_id": '),
        httpx.Response(201, content=b"[" * 100_000),
        httpx.Response(201, json=[]),
        httpx.Response(302, headers={"location": "https://login.test/"}),
        recorded(200),
        recorded(turn_id="another"),
        recorded(entries=[]),
    ],
    ids=lambda response: f"{response.status_code} {response.content[:20]!r}",
)
async def test_other_success_is_no_save(
    client: httpx.AsyncClient, memory: ScriptedMemory, response: httpx.Response
) -> None:
    """A 2xx that is not a recorded turn is retried, and the reply never says that the turn is saved."""
    memory.respond_always(response, "append")
    reply = await client.post("/chat/", json=HELLO)
    metadata = reply.json()["metadata"]
    assert (reply.status_code, metadata["history"], metadata["memory"]) == (200, "unknown", "unavailable")
    assert metadata["code"] == ("memory_unavailable" if response.status_code == 302 else NOT_UNDERSTOOD)
    assert len(memory.calls("append")) > 1


async def test_tutorials_mock_is_a_save(app: FastAPI) -> None:
    """The tutorial's test replaces the HTTP client's `post` with a mock that has a status and nothing else."""
    with patch("httpx.AsyncClient.post", new_callable=AsyncMock) as post:
        post.return_value = AsyncMock(status_code=200)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://chat.test") as client:
            response = await client.request("POST", "/chat/", json=HELLO)
    assert response.json()["metadata"]["history"] == "saved"


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (LOST, "memory_unavailable"),
        (sidecar_failure(), "memory_unavailable"),
        (httpx.Response(502, html="<h1>Bad gateway</h1>"), "memory_unavailable"),
        (refusal(503, "store_unavailable"), "store_unavailable"),
        (refusal(503, "store_conflict"), "store_conflict"),
        (httpx.Response(408, text="timeout"), "sidecar_timeout"),
    ],
)
async def test_save_without_an_outcome_is_unknown(
    client: httpx.AsyncClient, memory: ScriptedMemory, failure: httpx.Response | Exception, code: str
) -> None:
    """If each attempt may have been executed, it is unknown whether the turn is saved."""
    memory.respond_always(failure, "append")
    metadata = (await client.post("/chat/", json=HELLO)).json()["metadata"]
    assert (metadata["history"], metadata["code"]) == ("unknown", code)


@pytest.mark.parametrize("code", ["store_unsuitable", "store_refuses_writes", "overloaded"])
async def test_refused_save_is_not_saved(client: httpx.AsyncClient, memory: ScriptedMemory, code: str) -> None:
    """If memory refused each attempt before it wrote, it is certain that the turn is not saved."""
    memory.respond_always(refusal(503, code), "append")
    metadata = (await client.post("/chat/", json=HELLO)).json()["metadata"]
    assert (metadata["history"], metadata["code"]) == ("not_saved", code)


async def test_one_uncertain_attempt_makes_the_save_unknown(client: httpx.AsyncClient, memory: ScriptedMemory) -> None:
    """A later certain failure does not undo an earlier attempt that may have been executed."""
    memory.respond_next("append", LOST)
    memory.respond_always(refusal(503, "store_refuses_writes"), "append")
    metadata = (await client.post("/chat/", json=HELLO)).json()["metadata"]
    assert (metadata["history"], metadata["code"]) == ("unknown", "store_refuses_writes")


@pytest.mark.parametrize(("status", "code"), [(401, "unauthorized"), (403, "not_owner"), (422, "invalid_request")])
async def test_rejection_after_an_uncertain_attempt_is_unknown(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel, status: int, code: str
) -> None:
    """The attempt before may have been executed. So the save is given up, and the reply is kept for its key."""
    memory.respond_next("append", LOST, refusal(status, code))
    first = (await client.post("/chat/", json=HELLO, headers=KEY)).json()
    assert (first["metadata"]["history"], first["metadata"]["code"]) == ("unknown", code)
    assert len(memory.calls("append")) == 2
    again = (await client.post("/chat/", json=HELLO, headers=KEY)).json()
    assert (again["reply"], again["metadata"]["history"]) == (first["reply"], "saved")
    assert len(model.requests) == 1


async def test_late_response_is_unknown_and_the_key_finds_the_turn(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """A turn that was kept although its response came too late is found by the same key, without the model."""

    async def done_and_late() -> httpx.Response:
        await memory.handle(memory.calls("append")[-1])
        await asyncio.Event().wait()
        raise AssertionError

    memory.respond_next("append", done_and_late)
    first = (await client.post("/chat/", json=HELLO, headers=KEY)).json()
    again = (await client.post("/chat/", json=HELLO, headers=KEY)).json()
    assert (first["metadata"]["history"], again["metadata"]["history"]) == ("unknown", "saved")
    assert first["reply"] == again["reply"]
    assert len(model.requests) == 1
    assert len(memory.sessions["s1"].entries) == 2


async def test_save_that_was_never_sent_is_not_saved(model: ScriptedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a sidecar no attempt is sent, so it is certain that the turn is not saved."""
    monkeypatch.setattr("turn.saving.FIRST_PAUSE_SECONDS", 60.0)  # the time ends in the pause after an attempt
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    settings = Settings(
        llm_base_url="http://model.test/v1", llm_model="scripted", dapr_http_port=port, save_timeout_seconds=0.3
    )
    app = create_app(settings, model_transport=httpx2.MockTransport(model.handle))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://chat.test") as client,
    ):
        metadata = (await client.post("/chat/", json=HELLO)).json()["metadata"]
    assert (metadata["history"], metadata["code"]) == ("not_saved", "memory_unavailable")


@pytest.mark.parametrize("reply", ["x" * MAX_ENTRY_BYTES, "\U0001f600" * (MAX_ENTRY_BYTES // 4), "\x01" * 20_000])
async def test_reply_too_long_to_keep_is_not_sent_to_memory(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel, reply: str
) -> None:
    """A reply whose JSON is longer than memory keeps is sent to the client, not saved, with a code of its own."""
    model.respond_with(text(reply))
    body = (await client.post("/chat/", json=HELLO)).json()
    metadata = body["metadata"]
    assert body["reply"] == reply
    assert (metadata["history"], metadata["code"], metadata["memory"]) == ("not_saved", "reply_too_long", "ok")
    assert memory.calls("append") == []


async def test_longest_reply_is_sent_to_memory(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """A reply is measured as memory measures it: the JSON of role, content and timestamp, in UTF-8."""
    model.respond_with(text("é" * ((MAX_ENTRY_BYTES - 100) // 2)))
    assert (await client.post("/chat/", json=HELLO)).json()["metadata"]["history"] == "saved"
    entry = json.loads(memory.calls("append")[0].content)["entries"][1]
    assert len(json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode()) <= MAX_ENTRY_BYTES
