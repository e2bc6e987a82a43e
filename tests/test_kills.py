"""kill -9 of each part, one after the other, while clients send 300 turns and repeat those not acknowledged."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from harness.processes import Process
from harness.system import System, running
from tests.calls import Sent, assert_kept, client, history, keep, repeated, until

pytestmark = pytest.mark.slow

TURNS = 300
"""Turns that all clients of a test send together."""

ROUNDS = 2
"""How often each part is killed."""


@pytest.fixture(scope="module")
def mortal(components: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Two memory services and a chat service. Tests kill them."""
    folder, env = tmp_path_factory.mktemp("mortal"), {"SAVE_TIMEOUT_SECONDS": "1"}
    with running(folder, memories=2, chats=1, env=env, components=components) as system:
        yield system


async def kill_each(parts: Sequence[Process], sent: list[Sent]) -> None:
    """Kill one part after the other, each after some more acknowledged turns, and start it again at once."""
    victims = [*parts] * ROUNDS
    for number, part in enumerate(victims, start=1):

        async def enough(turns: int = number * TURNS // (len(victims) + 1)) -> bool:
            return len(sent) >= turns

        await until(enough, f"turns are acknowledged before kill {number}")
        part.kill()
        part.start()


async def test_appended_turns_are_all_kept_while_the_memory_is_killed(mortal: System) -> None:
    """Ten writers of one session lose nothing when either memory service or its sidecar is killed at any moment."""
    session, user = mortal.new_id("session"), mortal.new_id("user")
    sent: list[Sent] = []
    async with client() as http:

        async def write(writer: int) -> None:
            for n in range(TURNS // 10):
                name = f"{writer}.{n}"
                sent.append(await keep(http, mortal.memory, session, user, name, f"{name} asked", f"{name} answered"))

        parts = [part for memory in mortal.memories for part in (memory.app, memory.sidecar)]
        await asyncio.gather(kill_each(parts, sent), *(write(writer) for writer in range(10)))
        assert len(sent) == TURNS
        assert_kept(await history(http, mortal.memory, session), sent)


async def chat(http: httpx.AsyncClient, system: System, session: str, text: str) -> Sent:
    """Send a turn of the user `ada` with its own idempotency key, repeated until it is saved."""
    body = {"user_id": "ada", "text": text, "metadata": {"session_id": session}}
    sent_at = time.monotonic()

    async def call() -> httpx.Response:
        response = await http.post(f"{system.chats[0].url}/chat/", json=body, headers={"Idempotency-Key": text})
        if response.status_code == 200 and response.json()["metadata"]["history"] != "saved":
            return httpx.Response(503, text=response.text)
        return response

    response = await repeated(call)
    assert response.status_code == 200, response.text
    return Sent(response.json()["metadata"]["turn_id"], (text, response.json()["reply"]), sent_at, time.monotonic())


async def test_chat_turns_are_all_kept_while_each_part_is_killed(mortal: System) -> None:
    """Every reply marked `saved` is in the history with its message, once and in order, whichever part was killed."""
    sessions = [mortal.new_id("session") for _ in range(6)]
    sent: list[Sent] = []
    turns_of: dict[str, list[Sent]] = {session: [] for session in sessions}
    async with client() as http:

        async def talk(number: int, session: str) -> None:
            for n in range(TURNS // len(sessions)):
                turns_of[session].append(await chat(http, mortal, session, f"Hello {number}.{n}"))
                sent.append(turns_of[session][-1])

        one, chats = mortal.memories[0], mortal.chats[0]
        parts = [one.app, chats.app, one.sidecar, chats.sidecar]
        await asyncio.gather(kill_each(parts, sent), *(talk(n, session) for n, session in enumerate(sessions)))
        assert len(sent) == TURNS
        for session, turns in turns_of.items():
            again = await chat(http, mortal, session, turns[-1].contents[0])
            assert (again.turn_id, again.contents) == (turns[-1].turn_id, turns[-1].contents)
            assert_kept(await history(http, mortal.memory, session), turns)
