"""What is erased is gone from the store itself: also what no key leads to, and what was still on its way."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from itertools import count
from pathlib import Path

import httpx
import pytest

from harness.state_file import stored_values
from harness.system import System
from tests.calls import append, client, entries, keep, repeated, until
from tests.due_list import make_due, until_nothing_is_due
from tests.state_proxy import StateCall, do_nothing
from tests.watched import Watched, watching

SECRET = "nobody-may-read-this"
"""A part of every profile value, message and summary."""

PROFILE = {"name": SECRET, "preferred_style": SECRET, "goal": SECRET}

TURNS = 24
"""Turns that fill two pages and leave some in the head."""

MAX_WRITES = 20
"""Turns after which some have been moved to a page."""

WRITERS = 8
"""Clients that write to each session while it is erased."""


def keys_with_text(system: System) -> list[str]:
    """Return the keys whose values have the text, of all that is in the store."""
    return [key for key, value in stored_values(system.state_file).items() if SECRET in value]


async def write_turns(http: httpx.AsyncClient, memory: str, session: str, user: str, turns: int = TURNS) -> None:
    """Append turns, one after the other."""
    for n in range(turns):
        await keep(http, memory, session, user, f"turn-{n}", f"{SECRET} {n}?", f"{SECRET} {n}!")


async def write_everything(http: httpx.AsyncClient, memory: str, sessions: list[str], user: str) -> None:
    """Write a profile, sessions with pages, a summary, and a session that was replaced. Each has the text."""
    assert (await http.post(f"{memory}/memories/{user}/initialize", json=PROFILE)).status_code == 200
    assert (await http.patch(f"{memory}/memories/{user}", json={"goal": f"{SECRET} too"})).status_code == 200
    await asyncio.gather(*(write_turns(http, memory, session, user) for session in sessions))
    first, last = (f"{memory}/conversations/{session}" for session in (sessions[0], sessions[-1]))
    summary = {"text": SECRET, "through": 4, "epoch": (await http.get(f"{first}?last=1")).json()["epoch"]}
    assert (await http.put(f"{first}/summary", json=summary)).status_code == 200
    assert (await http.post(last, json={"history": entries(*[f"{SECRET} anew {n}" for n in range(60)])})).is_success
    await write_turns(http, memory, sessions[-1], user)


async def test_an_erase_leaves_no_text_in_the_store(system: System) -> None:
    """No row of the store has the text, although turns of all sessions were in flight at two memory services."""
    if system.sidecars.daprd is not None:
        pytest.skip("only the file of the local sidecar is searched")
    user, sessions = system.new_id("user"), [system.new_id("session") for _ in range(4)]
    async with client() as http:
        await write_everything(http, system.memory, sessions, user)
        before = keys_with_text(system)
        assert len(before) > 1 + len(sessions) * 3, "the profile, and each session's head and two pages"

        async def write(session: str, n: int) -> None:
            turn = f"late-{n}", f"{SECRET} late {n}", f"{SECRET} later {n}"
            await repeated(lambda: append(http, system.memory, session, user, *turn))

        in_flight = [asyncio.create_task(write(session, n)) for session in sessions for n in range(WRITERS)]
        erased = await repeated(lambda: http.delete(f"{system.memory}/memories/{user}"))
        assert erased.status_code == 204
        await asyncio.gather(*in_flight)
    assert keys_with_text(system) == []


@pytest.fixture
async def two(components: Path, tmp_path: Path) -> AsyncIterator[Watched]:
    """A memory service behind a proxy, and another one on the same store."""
    async with watching(tmp_path, components, others=1) as found:
        yield found


Write = Callable[[], Awaitable[httpx.Response]]


async def stalled(watched: Watched, key: str, write: Write) -> StateCall:
    """Repeat a write until one of its calls meets the key, and stop the sidecar before it gets that call.

    The service has given the write up when this returns. The sidecar may still carry the call out.
    """
    found: list[StateCall] = []

    async def pause(call: StateCall) -> None:
        if not found and call.writes and any(each.startswith(key) for each in call.keys):
            watched.memory.sidecar.pause()
            found.append(call)

    watched.proxy.before_call = pause
    for _ in range(MAX_WRITES):
        response = await write()
        if found:
            break
    assert (len(found), response.status_code) == (1, 503), response.text
    watched.proxy.before_call = do_nothing
    return found[0]


async def continued(watched: Watched, call: StateCall) -> None:
    """Continue the stopped sidecar, and wait until it has responded to the call."""
    watched.memory.sidecar.resume()

    async def responded() -> bool:
        return call in watched.proxy.calls

    await until(responded, "the sidecar has handled the call")


async def keys_at_the_other(http: httpx.AsyncClient, watched: Watched) -> list[str]:
    """Return the keys with the text, of those that the watched service ever wrote, read at the other one."""
    body = {"keys": sorted(watched.proxy.keys_written)}
    items = (await repeated(lambda: http.post(watched.system.memories[1].state("bulk"), json=body))).json()
    return [item["key"] for item in items if SECRET in str(item.get("data"))]


async def erase_at_the_other(http: httpx.AsyncClient, watched: Watched, user: str) -> None:
    """Erase a user at the service that does not hang."""
    erased = await repeated(lambda: http.delete(f"{watched.system.memories[1].url}/memories/{user}"))
    assert erased.status_code == 204
    assert await keys_at_the_other(http, watched) == []


def appending(http: httpx.AsyncClient, watched: Watched, session: str, user: str) -> Write:
    """Return a write that appends another turn each time."""
    numbers = count()
    return lambda: append(http, watched.memory.url, session, user, f"late-{next(numbers)}", SECRET, SECRET)


@pytest.mark.slow
async def test_a_page_that_lands_after_an_erase_is_swept(two: Watched) -> None:
    """A sidecar stops before it writes a page, another replica erases the user, then the sidecar writes the page.

    The sweep that the erase has scheduled removes it. The test lets it be due at once.
    """
    user, session, other = two.system.new_id("user"), two.system.new_id("session"), two.system.memories[1]
    async with client() as http:
        await write_turns(http, two.memory.url, session, user)
        page = await stalled(two, f"session:{session}:", appending(http, two, session, user))
        await erase_at_the_other(http, two, user)
        await continued(two, page)
        assert await keys_at_the_other(http, two) == page.keys
        assert await make_due(http, other)
        await until_nothing_is_due(http, other)
        assert await keys_at_the_other(http, two) == []


@pytest.mark.slow
async def test_what_decides_is_refused_after_an_erase(two: Watched) -> None:
    """The same with a head, a first head, a profile, and a profile after an earlier erase: nothing is written."""
    ids, here = two.system.new_id, two.memory.url
    async with client() as http:
        for what in ("head", "first head", "profile", "profile after an erase"):
            user, session = ids("user"), ids("session")
            if what != "first head":
                await write_turns(http, here, session, user, turns=4)
            if what == "profile after an erase":
                assert (await repeated(partial(http.delete, f"{here}/memories/{user}"))).status_code == 204
            key, write = f"session:{session}", appending(http, two, session, user)
            if what.startswith("profile"):
                url = f"{here}/memories/{user}/initialize"
                key, write = f"user:{user}", partial(http.post, url, json=PROFILE)
            call = await stalled(two, key, write)
            await erase_at_the_other(http, two, user)
            await continued(two, call)
            assert await keys_at_the_other(http, two) == [], what
