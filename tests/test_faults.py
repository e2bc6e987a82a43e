"""Parts that are killed or hang: the failure is reported as what it is, and no acknowledged turn is lost."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from harness.system import System, running
from tests.calls import client, history, keep, until
from tests.state_proxy import StateCall, response_of_a_lost_sql_store, response_of_a_lost_store
from tests.watched import Watched

REPORTED_SECONDS = 3.0
"""Time within which a failure of the store must be reported."""

PAGED_TURNS = 24
"""More turns than the head of a session holds."""

IMPATIENT = {"SAVE_TIMEOUT_SECONDS": "1"}
"""Settings with which a turn that cannot be saved is reported soon."""


@pytest.fixture(scope="module")
def small(components: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A memory service and a chat service. Tests break them and start them again."""
    with running(tmp_path_factory.mktemp("small"), chats=1, env=IMPATIENT, components=components) as system:
        yield system


async def assert_reported(http: httpx.AsyncClient, memory: str, session: str) -> None:
    """Check that reads and writes respond in time with 503, the code of a lost store, and Retry-After."""
    url = f"{memory}/conversations/{session}"
    turn = {"turn_id": "late", "user_id": "ada", "entries": [{"role": "user", "content": "late"}]}
    calls = [
        http.get(url),
        http.get(f"{url}?last=20"),
        http.post(f"{url}/turns", json=turn),
        http.post(url, json={"history": []}),
        http.delete(url),
        http.get(f"{memory}/memories/ada"),
        http.get(f"{memory}/memories/ada/conversations"),
        http.get(f"{memory}/memories/ada/export"),
        http.delete(f"{memory}/memories/ada"),
    ]
    start = time.monotonic()
    responses = await asyncio.gather(*calls)
    assert time.monotonic() - start < REPORTED_SECONDS
    for response in responses:
        reported = (response.status_code, response.json().get("code"), response.headers.get("Retry-After"))
        assert reported == (503, "store_unavailable", "1"), f"{response.request.method} {response.request.url}"
    assert (await http.get(f"{memory}/health/ready")).status_code == 503
    assert (await http.get(f"{memory}/health/live")).status_code == 200


@pytest.mark.slow
async def test_a_sidecar_that_hangs_is_reported_and_used_again(small: System) -> None:
    """While the sidecar hangs: 503 in time, never an empty history. Afterwards the same service process works again."""
    session, memory = small.new_id("session"), small.memories[0]
    async with client() as http:
        await keep(http, memory.url, session, "ada", "turn-1", "asked", "answered")
        pid = memory.app.pid
        memory.sidecar.pause()
        try:
            await assert_reported(http, memory.url, session)
        finally:
            memory.sidecar.resume()
        await keep(http, memory.url, session, "ada", "turn-2", "asked again", "answered again")
        assert (await history(http, memory.url, session))[:2] == ["asked", "answered"]
        assert memory.app.pid == pid


@pytest.mark.slow
async def test_a_sidecar_that_is_gone_is_reported_and_its_successor_used(small: System) -> None:
    """Without a sidecar: 503. With a new one the same service process works again and has all turns."""
    session, memory = small.new_id("session"), small.memories[0]
    async with client() as http:
        await keep(http, memory.url, session, "ada", "turn-1", "asked", "answered")
        pid = memory.app.pid
        memory.sidecar.kill()
        try:
            await assert_reported(http, memory.url, session)
        finally:
            memory.sidecar.start()
            memory.sidecar.until_ready()
        assert await history(http, memory.url, session) == ["asked", "answered"]
        assert memory.app.pid == pid


@pytest.mark.parametrize(
    "failed_response", [response_of_a_lost_store, pytest.param(response_of_a_lost_sql_store, marks=pytest.mark.slow)]
)
async def test_a_store_that_fails_behind_its_sidecar_is_reported(
    watched: Watched, failed_response: Callable[[StateCall], web.Response]
) -> None:
    """While the sidecar reports that its store failed: 503 in time, never an empty history. Then all turns are back."""
    watched.proxy.failed_response = failed_response
    session, memory = watched.system.new_id("session"), watched.memory.url
    async with client() as http:
        await keep(http, memory, session, "ada", "turn-1", "asked", "answered")
        watched.proxy.fails = lambda _: True
        await assert_reported(http, memory, session)
        watched.proxy.fails = lambda _: False
        assert await history(http, memory, session) == ["asked", "answered"]


async def test_a_store_that_fails_in_the_middle_of_a_read_is_reported(watched: Watched) -> None:
    """The head can be read and its pages cannot: 503, neither a part of the history nor the code of a damaged one."""
    session, memory = watched.system.new_id("session"), watched.memory.url
    async with client() as http:
        for number in range(PAGED_TURNS):
            await keep(http, memory, session, "ada", f"turn-{number}", f"asked {number}", f"answered {number}")
        watched.proxy.fails = lambda call: call.path.endswith("/bulk")
        response = await http.get(f"{memory}/conversations/{session}")
        assert (response.status_code, response.json()["code"]) == (503, "store_unavailable")
        watched.proxy.fails = lambda _: False
        assert len(await history(http, memory, session)) == 2 * PAGED_TURNS


async def say(http: httpx.AsyncClient, system: System, session: str, text: str, key: str = "") -> httpx.Response:
    """Send one turn to the chat service."""
    headers = {"Idempotency-Key": key} if key else {}
    body = {"user_id": "ada", "text": text, "metadata": {"session_id": session}}
    return await http.post(f"{system.chats[0].url}/chat/", json=body, headers=headers)


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["both", "hangs", "app", "sidecar", "own sidecar"])
async def test_a_reply_without_memory_says_that_it_is_not_saved(small: System, lost: str) -> None:
    """Whichever part is lost, the reply is sent and never marked as saved. When the part is back, a turn is saved.

    Only if the service's own sidecar is gone, it is certain that the turn was never sent.
    """
    memory, chat = small.memories[0], small.chats[0]
    session = small.new_id("session")
    broken = {
        "app": [memory.app],
        "sidecar": [memory.sidecar],
        "both": [memory.app, memory.sidecar],
        "own sidecar": [chat.sidecar],
        "hangs": [memory.app],
    }[lost]
    async with client() as http:
        for process in broken:
            process.pause() if lost == "hangs" else process.kill()
        try:
            alone = await say(http, small, session, "Hello", key="the same key")
        finally:
            for process in broken:
                process.resume() if lost == "hangs" else process.start()
        assert alone.status_code == 200
        assert alone.json()["reply"]
        assert {name: alone.json()["metadata"][name] for name in ("memory", "history")} == {
            "memory": "unavailable",
            "history": "not_saved" if lost == "own sidecar" else "unknown",
        }
        for process in broken:
            process.until_ready()

        async def is_saved() -> bool:
            again = await say(http, small, session, "Hello", key="the same key")
            return again.status_code == 200 and bool(again.json()["metadata"]["history"] == "saved")

        await until(is_saved, "a turn is saved again")
        assert (await history(http, memory.url, session))[::2] == ["Hello"]
