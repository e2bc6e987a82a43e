"""A bug ends its turn as any failure does, and no text of a conversation reaches the log."""

import asyncio
import gc
import logging
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI

from tests.asgi_calls import StreamedCall, background_ended, parsed_events, settled
from tests.scripted_memory import ScriptedMemory

SECRET = "my secret plan"
HELLO: dict[str, object] = {"user_id": "alice", "text": SECRET, "metadata": {"session_id": "s1"}}
CALLBACK = {**HELLO, "callback_url": "https://hooks.test/"}


class Bug(Exception):
    """An exception that nobody expects. Its text holds the conversation."""


def fail(*_: object, **__: object) -> None:
    """Fail as a bug does."""
    raise Bug(f"could not handle {SECRET}")


@pytest.fixture(autouse=True)
def quick_collection() -> Iterator[None]:
    """A garbage collection looks at what the test made, not at all that was imported."""
    gc.freeze()
    yield
    gc.unfreeze()


class LoopReports:
    """What reaches the event loop's exception handler."""

    def __init__(self) -> None:
        self.contexts: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.contexts.append(context))


@pytest.mark.parametrize("place", ["turn.pipeline.model_input", "turn.pipeline.draft_response", "turn.pipeline.recall"])
@pytest.mark.parametrize("path", ["/chat/", "/chat/stream"])
async def test_bug_in_a_turn_is_500_and_a_line_without_text(
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    place: str,
    path: str,
) -> None:
    """A bug gives 500, or an `error` event after the first piece, and one line with its type; nothing else."""
    caplog.set_level(logging.DEBUG)
    reports = LoopReports()
    monkeypatch.setattr(place, fail)
    response = await client.post(path, json=HELLO)
    if response.status_code == 200:
        name, data = parsed_events(response.text)[-1]
        assert (name, data["code"]) == ("error", "internal_error")
    else:
        assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    await settled()
    gc.collect()
    assert reports.contexts == []
    assert "status=500 code=internal_error error=Bug_at_test_unexpected_errors.py" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("place", ["agent.chat_agent.progress_of", "api.routes._server_sent"])
async def test_bug_while_streaming_is_an_error_event(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    """A bug between the model and the client ends the stream with `error`, and loses no task."""
    caplog.set_level(logging.DEBUG)
    reports = LoopReports()
    monkeypatch.setattr(place, fail)
    response = await client.post("/chat/stream", json=HELLO)
    assert '"code":"internal_error"' in response.text
    await settled()
    gc.collect()
    assert reports.contexts == []
    assert "Bug at test_unexpected_errors.py" in caplog.text.replace("_at_", " at ")
    assert SECRET not in caplog.text


async def test_bug_outside_a_turn_is_500_without_text(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug in a route reaches neither the server nor the log with its text."""
    monkeypatch.setattr(app.state.services.readiness, "check", fail)
    response = await client.get("/health/ready")
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert "request failed: Bug at test_unexpected_errors.py" in caplog.text
    assert SECRET not in caplog.text


async def test_bug_in_the_middle_of_a_response_breaks_it(app: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
    """A bug after the response began is logged without its text, and the response stays incomplete."""

    class BrokenCall(StreamedCall):
        async def _send(self, message: dict[str, object]) -> None:  # type: ignore[override]
            if message["type"] == "http.response.body":
                fail()
            await super()._send(message)

    async with BrokenCall(app, "/chat/stream", HELLO) as call:
        await call.ended()
    assert call.text == ""
    assert SECRET not in caplog.text


async def test_bug_in_a_background_task_is_one_line(
    client: httpx.AsyncClient, memory: ScriptedMemory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug in a summary is one line, and its session is not blocked."""
    reports = LoopReports()
    memory.remember("s1", "alice", *[("user", "a"), ("assistant", "b")] * 8)
    with monkeypatch.context() as patch:
        patch.setattr("turn.summaries.summary_task", fail)
        await client.post("/chat/", json=HELLO)
        await background_ended()
    gc.collect()
    assert reports.contexts == []
    assert "summary failed session=s1 code=internal_error error=Bug at test_unexpected_errors.py" in caplog.text
    assert SECRET not in caplog.text
    await client.post("/chat/", json=HELLO)
    await memory.until(lambda: memory.sessions["s1"].summary is not None)


async def test_lost_exception_is_reported_without_its_text(app: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
    """Within the service's lifespan the event loop reports lost exceptions and callbacks without contents."""
    loop = asyncio.get_running_loop()
    async with app.router.lifespan_context(app):
        future = loop.create_future()
        future.set_exception(Bug(SECRET))
        del future
        gc.collect()
        loop.call_soon(fail, SECRET)
        await settled()
    assert caplog.text.count("an exception was lost: Bug") == 2
    assert SECRET not in caplog.text


async def test_unwritable_reply_is_500(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If a replaced Runner gives a reply that cannot be written as JSON, the client gets 500 and the log no text."""

    async def run(*_: object, **__: object) -> object:
        return type("Result", (), {"final_output": SECRET + "\ud83d"})

    monkeypatch.setattr("main.Runner.run", run)
    response = await client.post("/chat/", json=HELLO)
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert SECRET not in caplog.text
