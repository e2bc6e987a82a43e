"""Deletions and erases by a service that is killed between two of its calls to the store."""

import asyncio
from urllib.parse import quote

import httpx
import pytest

from tests.calls import client, keep, repeated
from tests.due_list import make_due, until_nothing_is_due
from tests.state_proxy import StateCall, pass_on
from tests.watched import Watched

TURNS = 24
"""Turns that fill two pages and leave some in the head."""

SECRET = "nobody-may-read-this"
"""A part of every profile value and every message."""


async def stored(http: httpx.AsyncClient, watched: Watched) -> dict[str, str]:
    """Return the current values of all keys that were ever written."""
    found = {}
    for key in watched.proxy.keys_written:
        response = await http.get(watched.memory.state(quote(key, safe="")))
        if response.status_code == 200:
            found[key] = response.text
    return found


async def assert_no_content(http: httpx.AsyncClient, watched: Watched) -> None:
    """Check that no text of a user is in the store."""
    assert not [key for key, value in (await stored(http, watched)).items() if SECRET in value]


async def assert_no_page(http: httpx.AsyncClient, watched: Watched) -> None:
    """Check that no page of a session or of a list is in the store."""
    assert not [key for key in await stored(http, watched) if key.startswith("session") and key.count(":") > 1]


async def killed_after(cut: int, watched: Watched, http: httpx.AsyncClient, url: str) -> bool:
    """Send a DELETE and kill the service after `cut` writes. Returns whether it was killed."""
    left = cut

    async def kill(call: StateCall) -> bool:
        nonlocal left
        left -= call.writes
        if left == 0 and watched.memory.app.running:
            watched.memory.app.kill()
        return watched.memory.app.running

    watched.proxy.after_call = kill
    try:
        response = await http.delete(url)
    except httpx.HTTPError:
        return True
    finally:
        watched.proxy.after_call = pass_on
    assert response.status_code == 204
    return False


async def fill(http: httpx.AsyncClient, memory: str, name: str) -> None:
    """Write a profile and two sessions of several pages each, all with ids made of `name`."""
    profile = {"name": SECRET, "preferred_style": SECRET, "goal": SECRET}
    assert (await http.post(f"{memory}/memories/{name}/initialize", json=profile)).status_code == 200
    for session in (f"{name}-a", f"{name}-b"):
        for n in range(TURNS):
            await keep(http, memory, session, name, f"turn-{n}", f"{SECRET} {n}?", f"{SECRET} {n}!")


async def delete(http: httpx.AsyncClient, url: str) -> None:
    """Repeat a DELETE until it succeeds."""
    assert (await repeated(lambda: http.delete(url))).status_code == 204


@pytest.mark.slow
async def test_an_interrupted_erase_is_finished_by_the_next(watched: Watched) -> None:
    """Killed after each of its writes and repeated: no content and no page is left."""
    memory, group, cut, killed = watched.memory.url, watched.system.new_id("ada"), 0, True
    async with client() as http:
        while killed:
            cut += 1
            await fill(http, memory, f"{group}-{cut}")
            killed = await killed_after(cut, watched, http, f"{memory}/memories/{group}-{cut}")
            if killed:
                watched.memory.app.start()
                await delete(http, f"{memory}/memories/{group}-{cut}")
            await assert_no_content(http, watched)
            await assert_no_page(http, watched)
    assert cut > 8, "profile, two sessions, two pages each, list"


@pytest.mark.slow
async def test_an_interrupted_deletion_is_finished_by_the_next(watched: Watched) -> None:
    """The same for the deletion of one session."""
    memory, group, cut, killed = watched.memory.url, watched.system.new_id("ada"), 0, True
    async with client() as http:
        while killed:
            cut += 1
            session, user = f"session-{group}-{cut}", f"{group}-{cut}"
            for n in range(TURNS):
                await keep(http, memory, session, user, f"turn-{n}", f"{SECRET} {n}?", f"{SECRET} {n}!")
            killed = await killed_after(cut, watched, http, f"{memory}/conversations/{session}")
            if killed:
                watched.memory.app.start()
                await delete(http, f"{memory}/conversations/{session}")
            await assert_no_content(http, watched)
            await assert_no_page(http, watched)
    assert cut > 3, "the head, two pages and more"


async def contents(http: httpx.AsyncClient, watched: Watched, user: str) -> dict[str, str]:
    """Return the values with the text of one user, by key."""
    return {key: value for key, value in (await stored(http, watched)).items() if user in key and SECRET in value}


@pytest.mark.slow
async def test_an_interrupted_erase_is_finished_by_the_restart(watched: Watched) -> None:
    """Killed after every third write, started again and never repeated: it has no effect, or it is finished."""
    memory, group, cut, killed, finished = watched.memory.url, watched.system.new_id("ada"), -2, True, 0
    async with client() as http:
        while killed:
            cut += 3
            user = f"{group}-{cut:03}"
            await fill(http, memory, user)
            before, first = await contents(http, watched, user), len(watched.proxy.calls)
            assert before
            killed = await killed_after(cut, watched, http, f"{memory}/memories/{user}")
            writes = [call for call in watched.proxy.calls[first:] if call.writes]
            had_effect = any(not key.startswith("due:") for call in writes for key in call.keys)
            if killed:
                await make_due(http, watched.memory)
                watched.memory.app.start()
                await asyncio.to_thread(watched.memory.app.until_ready)  # the proxy runs in this loop
                await until_nothing_is_due(http, watched.memory)
            assert await contents(http, watched, user) == ({} if had_effect else before)
            finished += had_effect
    assert finished > 3, "the list, profile, two sessions, two pages each"
