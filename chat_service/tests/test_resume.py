"""Joining a running turn: its progress from the beginning; and finding a turn again without running it."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from tests.asgi_calls import StreamedCall, parsed_events, settled
from tests.scripted_memory import ScriptedMemory, recollection, refusal, sidecar_failure
from tests.scripted_model import ScriptedModel, chunk, events, streamed_tool_call, text_events
from tests.test_stream import HeldModel

HELLO: dict[str, object] = {"user_id": "alice", "text": "Hello", "metadata": {"session_id": "s1"}}
KEY = {"Idempotency-Key": "k1"}
RESUME = {"resume": "true"}


async def test_who_joins_gets_the_progress_from_the_beginning(app: FastAPI, model: ScriptedModel) -> None:
    """A second stream begins with what was said and done so far, the text in one piece, then gets the rest."""
    held = HeldModel()
    model.respond_with(streamed_tool_call(), events(held.pieces()))
    async with StreamedCall(app, "/chat/stream", HELLO, KEY) as first:
        await first.until(lambda seen: "Good" in seen)
        async with StreamedCall(app, "/chat/stream", HELLO, KEY) as second:
            await second.until(lambda seen: "Good" in seen)
            assert [name for name, _ in parsed_events(second.text)] == ["tool", "delta"]
            held.go_on.set()
            assert parsed_events(await second.ended()) == parsed_events(await first.ended())


async def test_text_that_was_there_comes_as_one_piece(app: FastAPI, model: ScriptedModel) -> None:
    """Ten pieces that are there when a client joins are one event for it."""
    go_on = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(10):
            yield chunk({"content": f"{number} "})
        await go_on.wait()
        for event in text_events("end"):
            yield event

    model.respond_with(events(pieces()))
    async with StreamedCall(app, "/chat/stream", HELLO, KEY) as first:
        await first.until(lambda seen: '"9 "' in seen)
        async with StreamedCall(app, "/chat/stream", HELLO, KEY) as second:
            await second.until(lambda seen: "9 " in seen)
            go_on.set()
            found = parsed_events(await second.ended())
    assert [data.get("text") for name, data in found if name == "delta"] == ["0 1 2 3 4 5 6 7 8 9 ", "end"]


async def test_client_that_reconnects_loses_nothing(app: FastAPI, model: ScriptedModel) -> None:
    """A client whose connection broke joins its turn again and has the whole reply."""
    held = HeldModel()
    model.respond_with(events(held.pieces()))
    async with StreamedCall(app, "/chat/stream", HELLO, KEY) as first:
        await first.until(lambda seen: "Good" in seen)
        first.hang_up()
    async with StreamedCall(app, "/chat/stream?resume=true", HELLO, KEY) as second:
        await second.until(lambda seen: "Good" in seen)
        held.go_on.set()
        found = parsed_events(await second.ended())
    assert "".join(str(data["text"]) for name, data in found if name == "delta") == "Good day."
    assert len(model.requests) == 1


@pytest.mark.parametrize("path", ["/chat/", "/chat/stream"])
async def test_resume_gets_the_recorded_reply(client: httpx.AsyncClient, model: ScriptedModel, path: str) -> None:
    """A turn that is stored is found."""
    await client.post("/chat/", json=HELLO, headers=KEY)
    assert '"reply":"Good."' in (await client.post(path, json=HELLO, headers=KEY, params=RESUME)).text
    assert len(model.requests) == 1


@pytest.mark.parametrize("path", ["/chat/", "/chat/stream"])
async def test_resume_never_runs_a_turn(client: httpx.AsyncClient, model: ScriptedModel, path: str) -> None:
    """A turn that is neither running nor stored is not run, and the response says what to do."""
    response = await client.post(path, json=HELLO, headers=KEY, params=RESUME)
    assert (response.status_code, response.json()["code"]) == (404, "turn_not_found")
    assert model.requests == []


@pytest.mark.parametrize("failure", [sidecar_failure(), refusal(503, "store_unavailable")])
async def test_resume_without_memory_is_not_known(
    client: httpx.AsyncClient, model: ScriptedModel, memory: ScriptedMemory, failure: httpx.Response
) -> None:
    """If memory does not respond, the turn may be stored: the client is told to try again."""
    memory.respond_always(failure, "recall")
    response = await client.post("/chat/stream", json=HELLO, headers=KEY, params=RESUME)
    assert (response.status_code, response.json()["code"]) == (503, "turn_not_known")
    assert model.requests == []


async def test_resume_saves_a_reply_that_was_not_saved(client: httpx.AsyncClient, memory: ScriptedMemory) -> None:
    """A reply that the process kept is saved by a resume too."""
    memory.respond_always(sidecar_failure(), "append")
    await client.post("/chat/", json=HELLO, headers=KEY)
    memory.recover()
    response = await client.post("/chat/", json=HELLO, headers=KEY, params=RESUME)
    assert response.json()["metadata"]["history"] == "saved"


async def test_resume_without_a_key_finds_nothing(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """Without its key a turn cannot be found, and the model is not asked."""
    response = await client.post("/chat/", json=HELLO, params=RESUME)
    assert (response.status_code, response.json()["code"]) == (404, "turn_not_found")
    assert model.requests == []


async def test_a_turn_does_not_join_one_that_only_looks(client: httpx.AsyncClient, memory: ScriptedMemory) -> None:
    """While one tab looks for a turn that is not there, another may run it, and gets its reply."""
    held = memory.hold_next("recall", recollection())
    looking = asyncio.create_task(client.post("/chat/", json=HELLO, headers=KEY, params=RESUME))
    await held.asked.wait()
    running = asyncio.create_task(client.post("/chat/", json=HELLO, headers=KEY))
    await settled()
    held.let.set()
    assert ((await looking).status_code, (await running).status_code) == (404, 200)
