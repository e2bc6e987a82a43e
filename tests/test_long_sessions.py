"""What a turn costs does not grow with its session, and a very long session works."""

import pytest

from calls import client, entries, keep
from watched import Watched


async def test_a_long_session_costs_an_append_what_a_short_one_does(watched: Watched) -> None:
    """Over whole cycles of sealing, appends to 100 and to 10,000 messages make the same calls of the same size."""
    costs = []
    async with client() as http:
        for messages in (100, 10_000):
            session = f"session-of-{messages:05}"
            text = [f"message {number:05} of the history" for number in range(messages)]
            url = f"{watched.memory.url}/conversations/{session}"
            assert (await http.post(url, json={"history": entries(*text)})).status_code == 200
            for number in range(12):
                await keep(http, watched.memory.url, session, "ada", f"warm-{number}", "question", "answer")
            watched.proxy.calls.clear()
            for number in range(24):
                await keep(http, watched.memory.url, session, "ada", f"turn-{number}", "question", "answer")
            costs.append((len(watched.proxy.calls), sum(len(call.body) for call in watched.proxy.calls)))
    (calls, size), (calls_long, size_long) = costs
    assert calls_long == calls
    assert size_long == pytest.approx(size, rel=0.01)  # numbers have more digits
