"""What the service accepts at once: arriving bodies, running turns, open streams, waiting requests, slow readers."""

import asyncio
import importlib
import json
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import httpx2
import pytest
from fastapi import FastAPI
from starlette.types import Message, Scope

from agent.chat_agent import MAX_MODEL_CALLS
from api import bodies
from lifecycle import BackgroundTasks
from llm.transport import MAX_ATTEMPTS
from settings import Settings
from tests.asgi_calls import StreamedCall, settled
from tests.scripted_memory import ScriptedMemory, sidecar_failure
from tests.scripted_model import ScriptedModel, streamed_tool_call, tool_call
from turn.saving import FIRST_PAUSE_SECONDS

HELLO = {"user_id": "alice", "text": "Hello"}
KEY = {"Idempotency-Key": "k1"}
PATHS = ["/chat/", "/chat/stream"]
MAIN_TESTS = Path(__file__).parents[1] / "test_main.py"
LONG_BODY_BYTES = 900 * 1024


class HalfSent:
    """A request whose body stops arriving before its end."""

    def __init__(self, app: FastAPI, size: int) -> None:
        self._messages: list[Message] = [{"type": "http.request", "body": b"x" * size, "more_body": True}]
        self._app = app
        self.sent: list[Message] = []
        self.task = asyncio.create_task(self._run())

    @property
    def status(self) -> int | None:
        """The response's status; None while the service waits for the body."""
        return self.sent[0]["status"] if self.sent else None

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The response's headers."""
        headers: list[tuple[bytes, bytes]] = self.sent[0]["headers"]
        return headers

    @property
    def code(self) -> object:
        """The code in the response."""
        return json.loads(self.sent[1]["body"])["code"]

    async def _run(self) -> None:
        headers = [(b"content-type", b"application/json")]
        scope: Scope = {"type": "http", "method": "POST", "path": "/chat/", "raw_path": b"/chat/", "query_string": b""}
        await self._app({**scope, "headers": headers}, self._receive, self._send)

    async def _receive(self) -> Message:
        if self._messages:
            return self._messages.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def _send(self, message: Message) -> None:
        self.sent.append(message)


@pytest.fixture
def settings() -> Settings:
    """Few of everything."""
    return Settings(
        llm_base_url="http://model.test/v1",
        llm_model="scripted",
        save_timeout_seconds=1,
        max_running_turns=2,
        max_open_streams=2,
        max_waiting_requests=2,
    )


@pytest.fixture
async def half_sent(app: FastAPI) -> AsyncIterator[list[HalfSent]]:
    """Half-sent requests of a test, which end with it."""
    requests: list[HalfSent] = []
    yield requests
    for request in requests:
        request.task.cancel()
    await asyncio.gather(*(request.task for request in requests), return_exceptions=True)


async def test_bodies_that_stop_arriving_hold_a_bounded_number_of_bytes(
    app: FastAPI, client: httpx.AsyncClient, half_sent: list[HalfSent]
) -> None:
    """Of 50 half-sent long bodies as many are held as the bound allows; the others get 503. A message still passes."""
    half_sent += [HalfSent(app, LONG_BODY_BYTES) for _ in range(50)]
    await settled()
    held = [request for request in half_sent if request.status is None]
    assert 1 <= len(held) <= bodies.MAX_HELD_BYTES // (LONG_BODY_BYTES - bodies.FREE_BODY_BYTES)
    refused = next(request for request in half_sent if request.status is not None)
    assert (refused.status, refused.code) == (503, "overloaded")
    assert {(b"retry-after", b"1"), (b"connection", b"close")} <= set(refused.headers)
    assert (await client.post("/chat/", json={**HELLO, "text": "x" * 16_000})).status_code == 200


async def test_number_of_arriving_bodies_is_bounded(
    app: FastAPI, half_sent: list[HalfSent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short half-sent bodies are bounded in number, and those that are given up make room for others."""
    monkeypatch.setattr(bodies, "MAX_ARRIVING_BODIES", 3)
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.05)
    for _ in range(2):
        requests = [HalfSent(app, 10) for _ in range(5)]
        half_sent += requests
        await asyncio.gather(*(request.task for request in requests))
        assert sorted(request.status or 0 for request in requests) == [408, 408, 408, 503, 503]


async def test_half_sent_bodies_keep_no_message_out(
    app: FastAPI, client: httpx.AsyncClient, half_sent: list[HalfSent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the bound the body that has been arriving longest is refused, and not the next message."""
    monkeypatch.setattr(bodies, "MAX_ARRIVING_BODIES", 3)
    half_sent += [HalfSent(app, 10) for _ in range(3)]
    await settled()
    assert (await client.post("/chat/", json=HELLO)).status_code == 200
    assert [request.status for request in half_sent] == [503, None, None]
    assert half_sent[0].code == "overloaded"
    assert (await client.post("/chat/", json=HELLO)).status_code == 200
    assert [request.status for request in half_sent] == [503, None, None]


async def test_body_must_arrive_in_time(
    app: FastAPI, half_sent: list[HalfSent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body that stops arriving gets 408 and its connection is closed."""
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.05)
    half_sent.append(HalfSent(app, 10))
    await half_sent[0].task
    assert (half_sent[0].status, half_sent[0].code) == (408, "body_too_slow")
    assert (b"connection", b"close") in half_sent[0].headers


@pytest.mark.parametrize("path", PATHS)
async def test_running_turns_are_bounded(
    client: httpx.AsyncClient, model: ScriptedModel, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """A turn past the bound gets 503 at once, and is not sent to the model. When turns end, others may run."""
    model.gate.clear()
    turns = [asyncio.create_task(client.post(path, json=HELLO)) for path in PATHS]
    await model.until_requested(2)
    for _ in range(3):
        refused = await client.post(path, json=HELLO)
        assert (refused.status_code, refused.json()["code"]) == (503, "too_many_turns")
        assert refused.headers["retry-after"] == "5"
    assert len(model.requests) == 2
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert lines == ["requests are refused code=too_many_turns limit=2"]
    model.gate.set()
    assert [(await turn).status_code for turn in turns] == [200, 200]
    assert (await client.post(path, json=HELLO)).status_code == 200


async def test_request_that_joins_needs_no_turn(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """A request with the key of a running turn joins it also when no further turn may run."""
    model.gate.clear()
    turns = [asyncio.create_task(client.post("/chat/", json=HELLO, headers=KEY))]
    turns.append(asyncio.create_task(client.post("/chat/", json=HELLO)))
    await model.until_requested(2)
    joiner = asyncio.create_task(client.post("/chat/stream", json=HELLO, headers=KEY))
    await settled()
    model.gate.set()
    assert [(await turn).status_code for turn in [*turns, joiner]] == [200, 200, 200]


@pytest.mark.parametrize("path", PATHS)
async def test_waiting_requests_and_open_streams_are_bounded(
    client: httpx.AsyncClient, model: ScriptedModel, path: str
) -> None:
    """Requests that wait for one turn are bounded too, for each route of its own."""
    model.gate.clear()
    waiting = [asyncio.create_task(client.post(path, json=HELLO, headers=KEY)) for _ in range(2)]
    await model.until_requested()
    await settled()
    refused = await client.post(path, json=HELLO, headers=KEY)
    assert (refused.status_code, refused.json()["code"]) == (503, "too_many_requests")
    assert refused.headers["retry-after"] == "5"
    (other,) = (other for other in PATHS if other != path)
    waiting.append(asyncio.create_task(client.post(other, json=HELLO, headers=KEY)))
    await settled()
    model.gate.set()
    assert [(await request).status_code for request in waiting] == [200, 200, 200]
    assert (await client.post(path, json=HELLO, headers=KEY)).status_code == 200


async def test_turn_is_stopped_when_all_places_are_taken(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """Stops have places of their own, as many: a stop is what frees the others."""
    model.gate.clear()
    waiting = [asyncio.create_task(client.post("/chat/", json=HELLO, headers=KEY)) for _ in range(2)]
    await model.until_requested()
    await settled()
    stops = [asyncio.create_task(client.post("/chat/stop", json={"user_id": "alice"}, headers=KEY)) for _ in range(3)]
    codes = [(await request).json()["code"] for request in [*stops, *waiting]]
    assert sorted(codes) == ["stopped_empty"] * 4 + ["too_many_requests"]


async def test_left_stream_gives_its_slot_back(app: FastAPI, model: ScriptedModel, memory: ScriptedMemory) -> None:
    """A client that disconnects gives back its stream's slot at once, and its turn's when the turn has ended."""
    for number in range(4):
        body: dict[str, object] = {**HELLO, "metadata": {"session_id": f"s{number}"}}
        async with StreamedCall(app, "/chat/stream", body) as call:
            await call.until(lambda seen: "Good" in seen)
            call.hang_up()
        assert call.status == 200
        session_id = f"s{number}"
        await memory.until(lambda session_id=session_id: session_id in memory.sessions)  # type: ignore[misc]
        await settled()


async def test_hundreds_of_streams_on_a_hanging_model_stall_nobody(
    client: httpx.AsyncClient, model: ScriptedModel
) -> None:
    """All but the allowed streams are refused at once, and the service still responds."""
    model.gate.clear()
    turns = [asyncio.create_task(client.post("/chat/stream", json=HELLO)) for _ in range(300)]
    ended = asyncio.as_completed(turns, timeout=30)
    refused = [await next(ended) for _ in range(298)]
    assert {response.status_code for response in refused} == {503}
    assert (await client.get("/health/live")).status_code == 200
    model.gate.set()
    assert [response.status_code for response in [await turn for turn in ended]] == [200, 200]


class StalledCall(StreamedCall):
    """A client that reads nothing after the response's headers."""

    async def _send(self, message: Message) -> None:
        if message["type"] != "http.response.start":
            await asyncio.Event().wait()
        await super()._send(message)


@pytest.mark.parametrize("path", PATHS)
async def test_client_that_does_not_read_is_given_up(
    app: FastAPI, client: httpx.AsyncClient, memory: ScriptedMemory, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """A response that waits too long for its client ends and gives its slot back. The turn is saved."""
    monkeypatch.setattr("api.middleware.READ_SECONDS", 0.05)
    calls = [StalledCall(app, path, {**HELLO, "metadata": {"session_id": f"s{number}"}}) for number in range(2)]
    for call in calls:
        async with call:
            await call.ended()
    await memory.until(lambda: {"s0", "s1"} <= memory.sessions.keys())
    await settled()
    assert (await client.post(path, json=HELLO)).status_code == 200


async def test_long_list_of_errors_is_shortened(client: httpx.AsyncClient) -> None:
    """A 422 is short whatever the request is."""
    for body in ({"tags": [1] * 100}, {"tags": [1] * 100_000}, {"user_id": "x" * 100_000, "text": ["x"] * 100_000}):
        response = await client.post("/chat/", json={**HELLO, **body})
        assert response.status_code == 422
        assert len(response.json()["detail"]) <= 20
        assert len(response.content) < 4_000


@pytest.mark.parametrize("path", PATHS)
async def test_requests_to_the_model_are_bounded(client: httpx.AsyncClient, model: ScriptedModel, path: str) -> None:
    """A turn asks the model at most MAX_MODEL_CALLS times, each time in at most MAX_ATTEMPTS requests."""
    call = streamed_tool_call if path == "/chat/stream" else tool_call
    for _ in range(20):
        model.respond_with(httpx2.Response(500), httpx2.Response(500), call())
    response = await client.post(path, json=HELLO)
    assert "model_tool_loop" in response.text
    assert len(model.requests) == MAX_MODEL_CALLS * MAX_ATTEMPTS == 18


async def test_requests_to_memory_are_bounded(
    client: httpx.AsyncClient, memory: ScriptedMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A turn reads once, and the pauses between its appends grow until their time is over."""
    elapsed = 0.0

    async def pause(_background: BackgroundTasks, seconds: float) -> None:
        nonlocal elapsed
        elapsed += seconds
        if elapsed >= Settings().save_timeout_seconds:
            await asyncio.Event().wait()

    monkeypatch.setattr("turn.saving.FIRST_PAUSE_SECONDS", FIRST_PAUSE_SECONDS)
    monkeypatch.setattr("random.uniform", lambda low, _high: low)
    monkeypatch.setattr("lifecycle.BackgroundTasks.pause", pause)
    memory.respond_always(sidecar_failure(), "recall", "append")
    await client.post("/chat/", json={**HELLO, "metadata": {"session_id": "s1"}})
    assert len(memory.calls("recall")) == 1
    assert 5 <= len(memory.calls("append")) <= 12


ROW = re.compile(r"\|[^|]+\| ([0-9][0-9,.]*) [^|]*\| `([A-Za-z_.]+)` \|[^|]*\|([^|]+)\|")
PAGE = Path(__file__).parents[2] / "docs" / "limits.md"


def rows() -> list[tuple[str, str, str]]:
    """The value, the name and the tests of each limit on the page."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|") and "`" in line]
    found = [ROW.fullmatch(line) for line in lines]
    assert all(found), [line for line, row in zip(lines, found, strict=True) if not row]
    return [(row[1], row[2], row[3]) for row in found if row]


@pytest.mark.parametrize(("value", "name", "tests"), rows())
def test_page_of_limits_is_true(value: str, name: str, tests: str) -> None:
    """Each line of docs/limits.md has the value that the code has, and names tests that exist."""
    module, _, constant = name.rpartition(".")
    limit = getattr(importlib.import_module(module), constant) if module else getattr(Settings(), constant.lower())
    assert float(value.replace(",", "")) == limit
    named = re.findall(r"test_\w+", tests)
    sources = [path.read_text(encoding="utf-8") for path in [*Path(__file__).parent.rglob("test_*.py"), MAIN_TESTS]]
    assert named
    for test in named:
        assert any(f"def {test}(" in source for source in sources), test
