"""Responses of the sidecar that are lost after the store has done the write."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.calls import append, assert_kept, client, history, keep
from tests.state_proxy import StateCall, pass_on
from tests.watched import Watched

WRITERS = 10
"""Others that write to the session at the same time."""


def losing(times: int) -> Callable[[StateCall], Awaitable[bool]]:
    """Drop the responses to the first writes of a session's head."""
    left = times

    async def after_call(call: StateCall) -> bool:
        nonlocal left
        if call.writes and left and any(key.startswith("session:") for key in call.keys):
            left -= 1
            return False
        return True

    return after_call


async def test_a_turn_whose_response_was_lost_is_found_and_kept_once(watched: Watched) -> None:
    """After a write without a response the service reads the session, finds the turn and acknowledges it."""
    session, memory = watched.system.new_id("session"), watched.memory.url
    async with client() as http:
        sent = []
        for number in range(4):
            watched.proxy.after_call = losing(number)
            sent.append(await keep(http, memory, session, "ada", f"turn-{number}", f"q {number}", f"a {number}"))
        assert_kept(await history(http, memory, session), sent)


def losing_all_from_the_first_head_on(watched: Watched) -> None:
    """Drop the response to the next write of a session's head, and all after it."""
    first = losing(1)

    async def lose(_: StateCall) -> bool:
        return False

    async def lose_the_write_and_all_after(call: StateCall) -> bool:
        if not await first(call):
            watched.proxy.after_call = lose
            return False
        return True

    watched.proxy.after_call = lose_the_write_and_all_after


@pytest.mark.parametrize("others", [0, pytest.param(300, marks=pytest.mark.slow)])
async def test_a_failed_append_that_was_recorded_is_repeated_without_effect(watched: Watched, others: int) -> None:
    """With all responses lost the append fails with 503. Repeated, it returns the turn recorded first.

    So it does after 300 turns of others, which are more than the head of a session remembers.
    """
    session, memory = watched.system.new_id("session"), watched.memory.url

    async with client() as http:

        async def write(writer: int) -> None:
            for n in range(others // WRITERS):
                name = f"{writer}.{n}"
                sent.append(await keep(http, memory, session, "ada", name, f"{name} asked", f"{name} answered"))

        sent = [await keep(http, memory, session, "ada", "turn-0", "q 0", "a 0")]
        losing_all_from_the_first_head_on(watched)
        failed = await append(http, memory, session, "ada", "turn-1", "q 1", "a 1")
        assert (failed.status_code, failed.json()["code"]) == (503, "store_unavailable")
        assert failed.headers["Retry-After"].isdigit()
        watched.proxy.after_call = pass_on
        await asyncio.gather(*map(write, range(WRITERS)))
        assert len(sent) == 1 + others
        again = await append(http, memory, session, "ada", "turn-1", "other", "words")
        assert again.status_code == 200
        assert "Idempotent-Replayed" in again.headers
        assert [entry["content"] for entry in again.json()["entries"]] == ["q 1", "a 1"]
        kept = await history(http, memory, session)
        assert kept[:4] == ["q 0", "a 0", "q 1", "a 1"]
        assert_kept(kept[:2] + kept[4:], sent)
