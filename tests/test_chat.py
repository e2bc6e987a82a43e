"""Turns of a whole system with a model endpoint: streams through Dapr, repetitions at two replicas, clients that go."""

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
WORDS = 40
LEAVING = 20
"""Clients; about two in five leave while a piece is on its way."""
LONG_TEXT = " ".join(f"word{number}" for number in range(WORDS))


@pytest.fixture(scope="module")
def chatting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A memory service and two chat services with a model that takes its time."""
    with System(tmp_path_factory.mktemp("chatting")) as system:
        env = {"LLM_BASE_URL": add_model(system, TOKEN_MS), "LLM_API_KEY": "none", "LLM_MODEL": "scripted"}
        system.add_memory()
        system.add_chat(env)
        system.add_chat(env)
        system.start()
        yield system


def message(session: str, text: str) -> dict[str, object]:
    """The body of a turn."""
    return {"user_id": "ada", "text": text, "metadata": {"session_id": session}}


def by_app_id(system: System, path: str) -> str:
    """A path of the chat service, called by its app id through another app's sidecar."""
    return f"{system.memories[0].sidecar_url}/v1.0/invoke/{APP_IDS[CHAT_SERVICE]}/method{path}"


async def test_a_stream_comes_piece_by_piece_through_dapr(chatting: System) -> None:
    """Each piece of the reply comes when the model gives it, not all together at the end."""
    arrived = []
    async with client() as http:
        body = message(chatting.new_id("session"), LONG_TEXT)
        async with http.stream("POST", by_app_id(chatting, "/chat/stream"), json=body) as answer:
            async for event in events(answer):
                arrived.append((time.monotonic(), event))
    deltas = [(at, event) for at, event in arrived if event.kind == "delta"]
    last_at, done = arrived[-1]
    assert done.kind == "done"
    assert "".join(event.data["text"] for _, event in deltas) == done.data["reply"]
    assert len(deltas) >= WORDS
    assert last_at - deltas[0][0] > 0.5 * WORDS * TOKEN_MS / 1000


async def test_a_tool_is_called_and_told_of(chatting: System) -> None:
    """The model asks for the time: the stream says so, and the reply has it."""
    async with client() as http:
        body = message(chatting.new_id("session"), "What time is it?")
        async with http.stream("POST", f"{chatting.chats[0].url}/chat/stream", json=body) as answer:
            got = [event async for event in events(answer)]
    assert [event.data["name"] for event in got if event.kind == "tool"] == ["get_current_time"]
    assert "UTC" in got[-1].data["reply"]


async def test_a_refusal_of_the_model_is_told_and_nothing_is_kept(chatting: System) -> None:
    """Too many requests at the model: 503 with the model's Retry-After, streamed or not, and no half a turn."""
    session = chatting.new_id("session")
    body = message(session, "please script:429-retry-after")
    async with client() as http:
        for path in ("/chat/", "/chat/stream"):
            answer = await http.post(f"{chatting.chats[0].url}{path}", json=body)
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "7"
            assert set(answer.json()) == {"detail", "code"}
        assert await history(http, chatting.memory, session) == []


async def test_one_key_at_two_replicas_gets_the_one_stored_reply(chatting: System) -> None:
    """Both requests are answered with the turn that is in the history, once; so is a later one."""
    session = chatting.new_id("session")
    body, headers = message(session, "Tell me"), {"Idempotency-Key": session}

    async def ask(http: httpx.AsyncClient, url: str) -> tuple[str, str]:
        answer = await http.post(f"{url}/chat/", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.json()["metadata"]["history"] == "saved"
        return answer.json()["metadata"]["turn_id"], answer.json()["reply"]

    async with client() as http:
        replies = await asyncio.gather(*(ask(http, replica.url) for replica in chatting.chats * 2))
        replies.append(await ask(http, chatting.chats[1].url))
        assert len(set(replies)) == 1
        assert await history(http, chatting.memory, session) == ["Tell me", replies[0][1]]


async def test_a_turn_whose_client_went_away_is_saved(chatting: System) -> None:
    """It goes on and is saved whole; asked again with its key it is the same turn; the log has no stack trace."""
    session = chatting.new_id("session")
    body, headers, url = message(session, LONG_TEXT), {"Idempotency-Key": session}, chatting.chats[0].url
    async with client() as http:
        async with http.stream("POST", f"{url}/chat/stream", json=body, headers=headers) as answer:
            await anext(events(answer))

        async def is_saved() -> bool:
            return len(await history(http, chatting.memory, session)) == 2

        await until(is_saved, "the turn is saved")
        again = await http.post(f"{url}/chat/", json=body, headers=headers)
        assert await history(http, chatting.memory, session) == [LONG_TEXT, again.json()["reply"]]
    assert "Traceback" not in chatting.chats[0].app.log.read_text(errors="replace")


async def test_clients_that_leave_their_streams_leave_no_stack_traces(house: System) -> None:
    """However soon they go, even while pieces wait to be sent: their turns are saved, and the log stays clean."""
    sessions = [house.new_id("session") for _ in range(LEAVING)]
    url = f"{house.chats[0].url}/chat/stream"
    async with client() as http:
        for number, session in enumerate(sessions):
            async with http.stream("POST", url, json=message(session, "What is the meaning of life?")) as answer:
                if number % 2:
                    await anext(events(answer))
        for session in sessions:

            async def is_saved(session: str = session) -> bool:
                return len(await history(http, house.memory, session)) == 2

            await until(is_saved, "the turn is saved")
    assert "Traceback" not in house.chats[0].app.log.read_text(errors="replace")
