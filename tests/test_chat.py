"""Turns of a whole system with a model endpoint: streams, repeated requests at two replicas, clients that leave."""

import asyncio
import time
from collections.abc import Iterator

import httpx
import pytest

from harness.services import APP_IDS, CHAT_SERVICE, add_model
from harness.system import System
from tests.calls import client, history, until
from tests.sse import events

TOKEN_MS = 20
"""Time that the stand-in model takes for a word."""

WORDS = 40
"""Words of a long message; the model repeats it."""

LEAVING_CLIENTS = 20
"""Clients that leave their streams. About two in five leave while a piece is being sent."""

LONG_TEXT = " ".join(f"word{number}" for number in range(WORDS))


@pytest.fixture(scope="module")
def chatting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A memory service, and two chat services whose model needs time for each word."""
    with System(tmp_path_factory.mktemp("chatting")) as system:
        env = {"LLM_BASE_URL": add_model(system, TOKEN_MS), "LLM_API_KEY": "none", "LLM_MODEL": "scripted"}
        system.add_memory()
        system.add_chat(env)
        system.add_chat(env)
        system.start()
        yield system


def message(session: str, text: str) -> dict[str, object]:
    """Return the body of a turn's request."""
    return {"user_id": "ada", "text": text, "metadata": {"session_id": session}}


def by_app_id(system: System, path: str) -> str:
    """Return the URL of a path of the chat service, called by its app id through another app's sidecar."""
    return f"{system.memories[0].sidecar_url}/v1.0/invoke/{APP_IDS[CHAT_SERVICE]}/method{path}"


@pytest.mark.slow
async def test_a_stream_arrives_piece_by_piece_through_the_sidecar(chatting: System) -> None:
    """Each piece of the reply arrives when the model sends it, not with all others at the end."""
    arrived = []
    async with client() as http:
        body = message(chatting.new_id("session"), LONG_TEXT)
        async with http.stream("POST", by_app_id(chatting, "/chat/stream"), json=body) as response:
            async for event in events(response):
                arrived.append((time.monotonic(), event))
    deltas = [(at, event) for at, event in arrived if event.kind == "delta"]
    last_at, done = arrived[-1]
    assert done.kind == "done"
    assert "".join(event.data["text"] for _, event in deltas) == done.data["reply"]
    assert len(deltas) >= WORDS
    assert last_at - deltas[0][0] > 0.5 * WORDS * TOKEN_MS / 1000


@pytest.mark.slow
async def test_a_tool_call_is_reported_in_the_stream(chatting: System) -> None:
    """The model calls the time tool: the stream has a `tool` event, and the reply has the time."""
    async with client() as http:
        body = message(chatting.new_id("session"), "What time is it?")
        async with http.stream("POST", f"{chatting.chats[0].url}/chat/stream", json=body) as response:
            got = [event async for event in events(response)]
    assert [event.data["name"] for event in got if event.kind == "tool"] == ["get_current_time"]
    assert "UTC" in got[-1].data["reply"]


@pytest.mark.slow
async def test_a_model_failure_is_reported_and_nothing_is_saved(chatting: System) -> None:
    """The model responds 429: the client gets 503 with the model's Retry-After, and no part of the turn is saved."""
    session = chatting.new_id("session")
    body = message(session, "please script:429-retry-after")
    async with client() as http:
        for path in ("/chat/", "/chat/stream"):
            response = await http.post(f"{chatting.chats[0].url}{path}", json=body)
            assert response.status_code == 503
            assert response.headers["Retry-After"] == "7"
            assert set(response.json()) == {"detail", "code"}
        assert await history(http, chatting.memory, session) == []


@pytest.mark.slow
async def test_one_idempotency_key_at_two_replicas_gets_the_one_stored_reply(chatting: System) -> None:
    """Both requests and a later one get the same turn, which is in the history once."""
    session = chatting.new_id("session")
    body, headers = message(session, "Tell me"), {"Idempotency-Key": session}

    async def ask(http: httpx.AsyncClient, url: str) -> tuple[str, str]:
        response = await http.post(f"{url}/chat/", json=body, headers=headers)
        assert response.status_code == 200, response.text
        assert response.json()["metadata"]["history"] == "saved"
        return response.json()["metadata"]["turn_id"], response.json()["reply"]

    async with client() as http:
        replies = await asyncio.gather(*(ask(http, replica.url) for replica in chatting.chats * 2))
        replies.append(await ask(http, chatting.chats[1].url))
        assert len(set(replies)) == 1
        assert await history(http, chatting.memory, session) == ["Tell me", replies[0][1]]


@pytest.mark.slow
async def test_a_turn_whose_client_disconnected_is_saved(chatting: System) -> None:
    """The turn finishes and is saved whole. The same key gets it again. The log has no stack trace."""
    session = chatting.new_id("session")
    body, headers, url = message(session, LONG_TEXT), {"Idempotency-Key": session}, chatting.chats[0].url
    async with client() as http:
        async with http.stream("POST", f"{url}/chat/stream", json=body, headers=headers) as response:
            await anext(events(response))

        async def is_saved() -> bool:
            return len(await history(http, chatting.memory, session)) == 2

        await until(is_saved, "the turn is saved")
        again = await http.post(f"{url}/chat/", json=body, headers=headers)
        assert await history(http, chatting.memory, session) == [LONG_TEXT, again.json()["reply"]]
    assert "Traceback" not in chatting.chats[0].app.log.read_text(errors="replace")


async def test_clients_that_leave_their_streams_leave_no_stack_traces(system: System) -> None:
    """Clients leave at once or while pieces wait to be sent: their turns are saved, and the log has no stack trace."""
    sessions = [system.new_id("session") for _ in range(LEAVING_CLIENTS)]
    url = f"{system.chats[0].url}/chat/stream"
    async with client() as http:
        for number, session in enumerate(sessions):
            async with http.stream("POST", url, json=message(session, "What is the meaning of life?")) as response:
                if number % 2:
                    await anext(events(response))
        for session in sessions:

            async def is_saved(session: str = session) -> bool:
                return len(await history(http, system.memory, session)) == 2

            await until(is_saved, "the turn is saved")
    assert "Traceback" not in system.chats[0].app.log.read_text(errors="replace")
