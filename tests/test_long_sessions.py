"""The cost of a turn does not grow with its session, and a very long session works."""

import asyncio

import pytest

from harness.system import System
from tests.calls import client, entries, history, keep
from tests.watched import Watched

SEALING_CYCLE_TURNS = 6
"""Turns of two messages that fill a page of twelve."""

TURN_MESSAGES = 12
"""The most messages that one append accepts."""

MESSAGES, MESSAGES_LONG = 20_000, 100_000
"""The length of a very long session, by default and with `--long`."""

REPLACED = 10_000
"""The most messages that one replace accepts. The rest is appended."""


@pytest.mark.slow
async def test_an_append_costs_the_same_at_any_length(watched: Watched) -> None:
    """Appends to 100 and to 10,000 messages make the same calls with the same sizes, over whole cycles of sealing."""
    costs = []
    async with client() as http:
        for messages in (100, 10_000):
            session = watched.system.new_id("session")
            text = [f"message {number:05} of the history" for number in range(messages)]
            url = f"{watched.memory.url}/conversations/{session}"
            assert (await http.post(url, json={"history": entries(*text)})).status_code == 200
            for number in range(2 * SEALING_CYCLE_TURNS):
                await keep(http, watched.memory.url, session, "ada", f"warm-{number}", "question", "answer")
            watched.proxy.calls.clear()
            for number in range(4 * SEALING_CYCLE_TURNS):
                await keep(http, watched.memory.url, session, "ada", f"turn-{number}", "question", "answer")
            costs.append((len(watched.proxy.calls), sum(len(call.body) for call in watched.proxy.calls)))
    (calls, size), (calls_long, size_long) = costs
    assert calls_long == calls
    assert size_long == pytest.approx(size, rel=0.01)  # numbers have more digits


@pytest.mark.slow
async def test_a_very_long_session_is_kept_and_read(system: System, request: pytest.FixtureRequest) -> None:
    """Its whole history, its newest messages and its pages from the newest to the oldest are read correctly."""
    messages = MESSAGES_LONG if request.config.getoption("--long") else MESSAGES
    session, memory = system.new_id("session"), system.memories[0].url
    text = [f"message {number}" for number in range(messages)]
    url = f"{memory}/conversations/{session}"
    async with client() as http:
        assert (await http.post(url, json={"history": entries(*text[:REPLACED])})).status_code == 200
        for at in range(REPLACED, messages, TURN_MESSAGES):
            await keep(http, memory, session, "ada", f"turn-{at}", *text[at : at + TURN_MESSAGES])
        whole, newest = await asyncio.gather(history(http, memory, session), http.get(f"{url}?last=20"))
        assert whole == text
        assert newest.json()["total"] == messages
        assert [entry["content"] for entry in newest.json()["history"]] == text[-20:]
        read: list[str] = []
        part = (await http.get(f"{url}?last=1000")).json()
        while part["before"]:
            read[:0] = [entry["content"] for entry in part["history"]]
            part = (await http.get(f"{url}?before={part['before']}&limit=1000")).json()
        assert [*(entry["content"] for entry in part["history"]), *read] == text
