"""What a turn writes to the log, and how the service stops."""

import asyncio
import logging
import re

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message

from settings import Settings
from tests.asgi_calls import settled
from tests.scripted_memory import ScriptedMemory, sidecar_failure
from tests.scripted_model import ScriptedModel

HELLO = {"user_id": "alice", "text": "my secret plan", "metadata": {"session_id": "s1"}}


class Lifespan:
    """The app's lifespan, started and stopped by a test as a server does it."""

    def __init__(self, app: FastAPI) -> None:
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self._task = asyncio.create_task(app({"type": "lifespan"}, self._to_app.get, self._from_app.put))

    async def begin(self) -> None:
        """Start the service."""
        await self._to_app.put({"type": "lifespan.startup"})
        assert (await self._from_app.get())["type"] == "lifespan.startup.complete"

    def stop(self) -> None:
        """Ask the service to stop."""
        self._to_app.put_nowait({"type": "lifespan.shutdown"})

    async def ended(self) -> None:
        """Wait until it has stopped."""
        async with asyncio.timeout(5):
            assert (await self._from_app.get())["type"] == "lifespan.shutdown.complete"
            await self._task


@pytest.fixture
def settings() -> Settings:
    """The service stops quickly."""
    return Settings(
        llm_base_url="http://model.test/v1",
        llm_model="scripted",
        save_timeout_seconds=0.05,
        shutdown_timeout_seconds=0.05,
    )


async def test_one_line_for_a_turn(
    client: httpx.AsyncClient, model: ScriptedModel, caplog: pytest.LogCaptureFixture
) -> None:
    """A turn writes one line with its ids, outcome and durations, and without any message text."""
    caplog.set_level(logging.INFO)
    response = await client.post("/chat/", json=HELLO)
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("chat_service")]
    assert len(lines) == 1
    number = r"\d+\.\d"
    assert re.fullmatch(
        rf"turn user=alice session=s1 turn_id={response.json()['metadata']['turn_id']} trace=[0-9a-f]{{32}} "
        rf"status=200 history=saved memory=ok model=scripted finish=stop "
        rf"read_ms={number} model_ms={number} save_ms={number} total_ms={number}",
        lines[0],
    )
    assert "secret plan" not in caplog.text


async def test_client_errors_are_not_logged(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    """Bad input writes no warning and no stack trace."""
    for content in (b"{", b'{"user_id": "a", "text": ""}', b"x" * 2_000_000):
        await client.post("/chat/", content=content, headers={"content-type": "application/json"})
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_running_turn_is_finished_at_stop(
    app: FastAPI, client: httpx.AsyncClient, model: ScriptedModel, memory: ScriptedMemory, settings: Settings
) -> None:
    """The service waits for a running turn, which gets its reply and is saved."""
    settings.shutdown_timeout_seconds = 5
    lifespan = Lifespan(app)
    await lifespan.begin()
    model.gate.clear()
    turn = asyncio.create_task(client.post("/chat/", json=HELLO))
    await model.until_requested()
    lifespan.stop()
    await settled()
    model.gate.set()
    assert (await turn).json()["metadata"]["history"] == "saved"
    await lifespan.ended()
    assert len(memory.sessions["s1"].entries) == 2


async def test_late_turn_is_stopped(
    app: FastAPI, client: httpx.AsyncClient, model: ScriptedModel, caplog: pytest.LogCaptureFixture
) -> None:
    """A turn that exceeds the time to stop is cancelled; its client gets 503 and the log says so."""
    lifespan = Lifespan(app)
    await lifespan.begin()
    model.gate.clear()
    turn = asyncio.create_task(client.post("/chat/", json=HELLO))
    await model.until_requested()
    lifespan.stop()
    response = await turn
    assert (response.status_code, response.json()["code"], response.headers["retry-after"]) == (503, "stopping", "5")
    await lifespan.ended()
    assert "status=503 code=stopping" in caplog.text


@pytest.mark.parametrize("path", ["/chat/", "/chat/stream"])
async def test_no_turn_begins_during_the_stop(
    app: FastAPI, client: httpx.AsyncClient, model: ScriptedModel, settings: Settings, path: str
) -> None:
    """A new turn gets 503 at once. A request for a turn that runs still joins it."""
    settings.shutdown_timeout_seconds = 5
    key = {"Idempotency-Key": "k1"}
    lifespan = Lifespan(app)
    await lifespan.begin()
    model.gate.clear()
    turn = asyncio.create_task(client.post("/chat/", json=HELLO, headers=key))
    await model.until_requested()
    lifespan.stop()
    await settled()
    refused = await client.post(path, json=HELLO)
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "stopping", "5")
    joined = asyncio.create_task(client.post(path, json=HELLO, headers=key))
    await settled()
    model.gate.set()
    assert "Good." in (await turn).text
    assert "Good." in (await joined).text
    await lifespan.ended()
    assert len(model.requests) == 1


async def test_pending_save_is_tried_once_more_at_stop(
    app: FastAPI, client: httpx.AsyncClient, memory: ScriptedMemory, settings: Settings
) -> None:
    """When the service stops, a save that waits for its next attempt makes it at once."""
    settings.save_timeout_seconds = 5
    lifespan = Lifespan(app)
    await lifespan.begin()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("turn.saving.FIRST_PAUSE_SECONDS", 3_600.0)
        patch.setattr("turn.saving.LONGEST_PAUSE_SECONDS", 3_600.0)
        memory.respond_next("append", sidecar_failure())
        turn = asyncio.create_task(client.post("/chat/", json=HELLO))
        await memory.until(lambda: len(memory.calls("append")) == 1)
        await settled()
        lifespan.stop()
        assert (await turn).json()["metadata"]["history"] == "saved"
    await lifespan.ended()


async def test_summary_does_not_delay_the_stop(
    app: FastAPI, client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel, settings: Settings
) -> None:
    """A summary that is being written is dropped when the service stops."""
    settings.shutdown_timeout_seconds = 3_600
    memory.remember("s1", "alice", *[("user", "a"), ("assistant", "b")] * 8)
    lifespan = Lifespan(app)
    await lifespan.begin()
    await client.post("/chat/", json=HELLO)
    model.gate.clear()
    await model.until_requested(2)
    lifespan.stop()
    await lifespan.ended()


async def test_bug_is_reported_without_its_text(
    app: FastAPI, memory: ScriptedMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug gives a 500 in the common error shape, and no client is left waiting."""
    monkeypatch.setattr("turn.pipeline.model_input", None)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    async with httpx.AsyncClient(transport=transport, base_url="http://chat.test") as client:
        response = await client.post("/chat/", json=HELLO)
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
