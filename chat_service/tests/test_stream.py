"""The streamed reply: its events, when they are sent, and what happens when a client disconnects."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import fastapi.routing
import httpx
import httpx2
import pytest
from fastapi import FastAPI

from tests.asgi_calls import StreamedCall, parsed_events
from tests.scripted_memory import ScriptedMemory, sidecar_failure
from tests.scripted_model import (
    ScriptedModel,
    chunk,
    completion,
    events,
    streamed,
    streamed_tool_call,
    text,
    text_events,
)

HELLO: dict[str, object] = {"user_id": "alice", "text": "Hello", "metadata": {"session_id": "s1"}}

CALL: dict[str, object] = {
    "id": "c1",
    "type": "function",
    "function": {"name": "get_current_time", "arguments": "{}"},
}


class HeldModel:
    """A streamed reply of two pieces; the second is held back until the test releases it."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The events of the reply."""
        first, *rest = text_events("Good", " day.")
        yield first
        await self.go_on.wait()
        for event in rest:
            yield event


async def test_pieces_then_the_whole(client: httpx.AsyncClient, model: ScriptedModel, memory: ScriptedMemory) -> None:
    """Each piece is a `delta`, and `done` has the same body as a response of `/chat/`."""
    model.respond_with(streamed("Good", " ", "day."))
    response = await client.post("/chat/stream", json=HELLO)
    assert response.headers["content-type"].startswith("text/event-stream")
    found = parsed_events(response.text)
    assert found[:-1] == [("delta", {"text": piece}) for piece in ("Good", " ", "day.")]
    name, done = found[-1]
    assert (name, done["reply"], done["user_id"]) == ("done", "Good day.", "alice")
    whole = (await client.post("/chat/", json=HELLO)).json()
    assert done.keys() == whole.keys()
    assert [entry["content"] for entry in memory.sessions["s1"].entries[:2]] == ["Hello", "Good day."]


async def test_tool_call_is_an_event(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """A tool call is an event before the reply, and its result reaches the model."""
    model.respond_with(streamed_tool_call(), streamed("It is late."))
    found = parsed_events((await client.post("/chat/stream", json=HELLO)).text)
    assert [name for name, _ in found] == ["tool", "delta", "done"]
    assert found[0][1] == {"name": "get_current_time", "arguments": "{}"}
    assert model.requests[1].messages[-1]["role"] == "tool"
    assert str(model.requests[1].messages[-1]["content"]).endswith("UTC")


async def test_each_piece_is_sent_at_once(app: FastAPI, model: ScriptedModel) -> None:
    """The client has the first piece before the model sends the second."""
    held = HeldModel()

    model.respond_with(events(held.pieces()))
    async with StreamedCall(app, "/chat/stream", HELLO) as call:
        await call.until(lambda seen: '{"text":"Good"}' in seen)
        assert " day." not in call.text
        held.go_on.set()
        assert "event: done" in await call.ended()


async def test_quiet_stream_is_kept_alive(app: FastAPI, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the model is silent, comments keep the connection open."""
    monkeypatch.setattr(fastapi.routing, "_PING_INTERVAL", 0.01)
    held = HeldModel()
    model.respond_with(events(held.pieces()))
    async with StreamedCall(app, "/chat/stream", HELLO) as call:
        await call.until(lambda seen: ": ping" in seen)
        held.go_on.set()
        assert "event: done" in await call.ended()


@pytest.mark.parametrize("is_joined", [False, True])
async def test_slow_turn_begins_its_stream_at_once(
    app: FastAPI, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch, is_joined: bool
) -> None:
    """While a turn gives nothing, its client has the headers and a comment; a failure is then an `error` event."""
    monkeypatch.setattr("turn.in_flight.QUIET_SECONDS", 0.02)
    key = {"Idempotency-Key": "k1"}
    model.gate.clear()
    model.respond_with(httpx2.Response(429, headers={"retry-after": "30"}))
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(StreamedCall(app, "/chat/stream", HELLO, key))
        await model.until_requested()
        call = await stack.enter_async_context(StreamedCall(app, "/chat/stream", HELLO, key)) if is_joined else first
        await call.until(lambda seen: seen.startswith(": waiting"))
        assert call.status == 200
        assert "event:" not in call.text
        model.gate.set()
        *_, event, data, retry = (await call.ended()).splitlines()[:-1]
    assert (event, retry) == ("event: error", "retry: 30000")
    assert json.loads(data.removeprefix("data: "))["code"] == "model_overloaded"


async def test_quick_turn_needs_no_comment(client: httpx.AsyncClient) -> None:
    """A turn that begins soon sends events only."""
    assert ":" not in {line[:1] for line in (await client.post("/chat/stream", json=HELLO)).text.splitlines()}


@pytest.mark.parametrize("path", ["/chat/", "/chat/stream"])
async def test_turn_continues_when_the_client_disconnects(
    app: FastAPI, model: ScriptedModel, memory: ScriptedMemory, path: str
) -> None:
    """If a client disconnects, its turn still ends and is saved, and its key gets the reply."""
    held = HeldModel()
    model.respond_with(events(held.pieces()))
    key = {"Idempotency-Key": "k1"}
    async with StreamedCall(app, "/chat/stream", HELLO, key) as call:
        await call.until(lambda seen: "Good" in seen)
        call.hang_up()
    held.go_on.set()
    await memory.until(lambda: "s1" in memory.sessions)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://chat.test") as client:
        assert "Good day." in (await client.post(path, json=HELLO, headers=key)).text
    assert len(model.requests) == 1


async def test_failed_save_is_reported_at_the_end(client: httpx.AsyncClient, memory: ScriptedMemory) -> None:
    """If the save fails, the pieces are sent and `done` reports it."""
    memory.respond_always(sidecar_failure(), "append")
    name, done = parsed_events((await client.post("/chat/stream", json=HELLO)).text)[-1]
    assert (name, done["metadata"]["history"], done["metadata"]["code"]) == ("done", "unknown", "memory_unavailable")  # type: ignore[index]


async def test_empty_text_and_other_owners_have_their_status(client: httpx.AsyncClient, memory: ScriptedMemory) -> None:
    """A failure before the first event is an ordinary HTTP response."""
    memory.remember("s1", "bob", ("user", "Mine"), ("assistant", "Yes"))
    assert (await client.post("/chat/stream", json={**HELLO, "text": " "})).status_code == 400
    response = await client.post("/chat/stream", json=HELLO)
    assert (response.status_code, response.json()["code"]) == (403, "not_owner")


@pytest.mark.parametrize(
    ("before", "reply"),
    [
        ("Let me look.", "Let me look.\n\nIt is late."),
        (" \n", "It is late."),
        ("", "It is late."),
    ],
)
async def test_text_before_a_tool_call_is_part_of_the_reply(
    client: httpx.AsyncClient, model: ScriptedModel, memory: ScriptedMemory, before: str, reply: str
) -> None:
    """The deltas, the reply and the history are the same text, streamed or not, also with text before a tool call."""
    said: dict[str, object] = {"role": "assistant", "content": before, "tool_calls": [{"index": 0, **CALL}]}
    model.respond_with(
        events([chunk(said), chunk({}, "tool_calls"), b"data: [DONE]\n\n"]),
        streamed("It is", " late."),
        completion({"role": "assistant", "content": before, "tool_calls": [CALL]}, "tool_calls"),
        text("It is late."),
    )
    found = parsed_events((await client.post("/chat/stream", json=HELLO)).text)
    whole = (await client.post("/chat/", json=HELLO)).json()
    assert "".join(str(data["text"]) for name, data in found if name == "delta") == reply
    assert (found[-1][1]["reply"], whole["reply"]) == (reply, reply)
    assert [entry["content"] for entry in memory.sessions["s1"].entries[1::2]] == [reply, reply]


async def test_refusal_after_text_is_part_of_the_reply(
    client: httpx.AsyncClient, model: ScriptedModel, memory: ScriptedMemory
) -> None:
    """A refusal in the middle of a reply continues it, streamed or not."""
    model.respond_with(
        events([chunk({"role": "assistant", "content": "Well, "}), chunk({"refusal": "no."}), *text_events()]),
        completion({"role": "assistant", "content": "Well, ", "refusal": "no."}, "stop"),
    )
    found = parsed_events((await client.post("/chat/stream", json=HELLO)).text)
    assert [data["text"] for name, data in found if name == "delta"] == ["Well, ", "no."]
    assert (await client.post("/chat/", json=HELLO)).json()["reply"] == found[-1][1]["reply"] == "Well, no."
    assert memory.sessions["s1"].entries[1]["content"] == "Well, no."


@pytest.mark.parametrize("path", ["/chat/", "/chat/stream"])
async def test_no_text_after_a_tool_call_is_an_empty_reply(
    client: httpx.AsyncClient, model: ScriptedModel, memory: ScriptedMemory, path: str
) -> None:
    """If the model ends without text after a tool call, the text before it does not count as a reply."""
    said: dict[str, object] = {"role": "assistant", "content": "Let me look.", "tool_calls": [{"index": 0, **CALL}]}
    if path == "/chat/":
        model.respond_with(completion(said, "tool_calls"), text(""))
    else:
        model.respond_with(events([chunk(said), chunk({}, "tool_calls"), b"data: [DONE]\n\n"]), streamed(""))
    assert '"code":"model_empty_reply"' in (await client.post(path, json=HELLO)).text
    assert memory.calls("append") == []
