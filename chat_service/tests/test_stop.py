"""Stopping a running turn: what was said so far is the reply, and it is decided once who was first."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from tests.asgi_calls import StreamedCall, background_ended, parsed_events, settled
from tests.scripted_memory import ScriptedMemory, recollection, sidecar_failure
from tests.scripted_model import ScriptedModel, events, streamed_tool_call
from tests.test_stream import HeldModel

HELLO: dict[str, object] = {"user_id": "alice", "text": "Hello", "metadata": {"session_id": "s1"}}
STOP: dict[str, object] = {"user_id": "alice", "session_id": "s1"}
KEY = {"Idempotency-Key": "k1"}


async def test_stopped_turn_keeps_what_was_said(
    app: FastAPI, client: httpx.AsyncClient, model: ScriptedModel, memory: ScriptedMemory
) -> None:
    """Stop ends the model. The text so far is the reply, marked for its stream, in memory and in a repeat."""
    held = HeldModel()
    model.respond_with(events(held.pieces()))
    async with StreamedCall(app, "/chat/stream", HELLO, KEY) as call:
        await call.until(lambda seen: "Good" in seen)
        stopped = (await client.post("/chat/stop", json=STOP, headers=KEY)).json()
        name, done = parsed_events(await call.ended())[-1]
    assert (name, done) == ("done", stopped)
    assert (stopped["reply"], stopped["metadata"]["stopped"], stopped["metadata"]["history"]) == ("Good", True, "saved")
    assert [(it["content"], it.get("stopped")) for it in memory.sessions["s1"].entries] == [
        ("Hello", None),
        ("Good", True),
    ]
    again = (await client.post("/chat/", json=HELLO, headers=KEY)).json()
    assert (again["reply"], again["metadata"]["stopped"]) == ("Good", True)
    assert len(model.requests) == 1


@pytest.mark.parametrize("path", ["/chat/", "/chat/stream"])
async def test_turn_stopped_before_the_first_word_has_no_reply(
    client: httpx.AsyncClient, model: ScriptedModel, memory: ScriptedMemory, path: str
) -> None:
    """If nothing was said, both requests get an error that says so, and nothing is saved. The key may be used again."""
    model.gate.clear()
    turn = asyncio.create_task(client.post(path, json=HELLO, headers=KEY))
    await model.until_requested()
    stopped = await client.post("/chat/stop", json=STOP, headers=KEY)
    assert [(it.status_code, it.json()["code"]) for it in (stopped, await turn)] == [(409, "stopped_empty")] * 2
    assert memory.calls("append") == []
    model.gate.set()
    assert (await client.post(path, json=HELLO, headers=KEY)).status_code == 200


async def test_turn_stopped_after_a_tool_call_has_no_reply(
    app: FastAPI, client: httpx.AsyncClient, model: ScriptedModel, memory: ScriptedMemory
) -> None:
    """A tool call is no reply."""

    async def hang() -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    model.respond_with(streamed_tool_call(), hang)  # type: ignore[arg-type]
    async with StreamedCall(app, "/chat/stream", HELLO, KEY) as call:
        await call.until(lambda seen: "event: tool" in seen)
        await model.until_requested(2)
        assert (await client.post("/chat/stop", json=STOP, headers=KEY)).json()["code"] == "stopped_empty"
        assert parsed_events(await call.ended())[-1][0] == "error"
    assert memory.calls("append") == []


async def test_turn_is_stopped_before_the_model_is_asked(
    client: httpx.AsyncClient, model: ScriptedModel, memory: ScriptedMemory
) -> None:
    """A stop that comes while memory is read keeps the model from starting."""
    held = memory.hold_next("recall", recollection())
    turn = asyncio.create_task(client.post("/chat/", json=HELLO, headers=KEY))
    await held.asked.wait()
    stop = asyncio.create_task(client.post("/chat/stop", json=STOP, headers=KEY))
    await settled()
    held.let.set()
    assert [(await it).json()["code"] for it in (turn, stop)] == ["stopped_empty"] * 2
    assert model.requests == []


async def test_stop_after_the_model_has_ended_changes_nothing(
    client: httpx.AsyncClient, memory: ScriptedMemory
) -> None:
    """A stop while the whole reply is saved comes too late: both get the whole reply, without the mark."""
    held = memory.hold_next("append", sidecar_failure())
    turn = asyncio.create_task(client.post("/chat/stream", json=HELLO, headers=KEY))
    await held.asked.wait()
    stop = asyncio.create_task(client.post("/chat/stop", json=STOP, headers=KEY))
    await settled()
    held.let.set()
    body = (await stop).json()
    assert (body["reply"], body["metadata"].get("stopped"), body["metadata"]["history"]) == ("Good.", None, "saved")
    assert parsed_events((await turn).text)[-1][1] == body
    assert "stopped" not in memory.sessions["s1"].entries[1]


async def test_stop_twice_is_one_stop(app: FastAPI, client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """Two tabs that stop the same turn get the same response."""
    model.respond_with(events(HeldModel().pieces()))
    async with StreamedCall(app, "/chat/stream", HELLO, KEY) as call:
        await call.until(lambda seen: "Good" in seen)
        both = await asyncio.gather(*(client.post("/chat/stop", json=STOP, headers=KEY) for _ in range(2)))
    assert both[0].json() == both[1].json()
    assert both[0].json()["metadata"]["stopped"] is True


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({**STOP, "user_id": "bob"}, "k1"),
        (STOP, "k2"),
        ({**STOP, "session_id": "s2"}, "k1"),
        ({"user_id": "alice"}, "k1"),
    ],
)
async def test_only_the_turns_own_user_stops_it(
    app: FastAPI, client: httpx.AsyncClient, model: ScriptedModel, body: dict[str, object], key: str
) -> None:
    """Another user, session or key names no running turn, and the turn goes on."""
    held = HeldModel()
    model.respond_with(events(held.pieces()))
    async with StreamedCall(app, "/chat/stream", HELLO, KEY) as call:
        await call.until(lambda seen: "Good" in seen)
        response = await client.post("/chat/stop", json=body, headers={"Idempotency-Key": key})
        assert (response.status_code, response.json()["code"]) == (404, "turn_not_running")
        held.go_on.set()
        assert '"reply":"Good day."' in await call.ended()


async def test_stop_needs_a_key(client: httpx.AsyncClient) -> None:
    """Without its key a turn cannot be named."""
    response = await client.post("/chat/stop", json=STOP)
    assert (response.status_code, response.json()["detail"][0]["loc"]) == (422, ["header", "Idempotency-Key"])


async def test_stop_of_a_turn_whose_clients_have_left(
    app: FastAPI, client: httpx.AsyncClient, model: ScriptedModel, memory: ScriptedMemory
) -> None:
    """After a reload nobody reads the stream, and the turn can still be stopped."""
    model.respond_with(events(HeldModel().pieces()))
    async with StreamedCall(app, "/chat/stream", HELLO, KEY) as call:
        await call.until(lambda seen: "Good" in seen)
        call.hang_up()
    assert (await client.post("/chat/stop", json=STOP, headers=KEY)).json()["reply"] == "Good"
    await background_ended()
    assert len(memory.sessions["s1"].entries) == 2
