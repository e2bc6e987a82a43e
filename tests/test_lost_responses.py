"""Responses of the sidecar that are lost after the store has done the write."""

from collections.abc import Awaitable, Callable

from tests.calls import append, assert_kept, client, history, keep
from tests.state_proxy import StateCall, pass_on
from tests.watched import Watched


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


async def test_a_failed_append_that_was_recorded_is_repeated_without_effect(watched: Watched) -> None:
    """With all responses lost the append fails with 503. Repeated, it returns the turn recorded first."""
    session, memory = watched.system.new_id("session"), watched.memory.url

    async def lose(_: StateCall) -> bool:
        return False

    async with client() as http:
        await keep(http, memory, session, "ada", "turn-0", "q 0", "a 0")
        watched.proxy.after_call = losing(1)
        first_lost = watched.proxy.after_call

        async def lose_the_write_and_all_after(call: StateCall) -> bool:
            if not await first_lost(call):
                watched.proxy.after_call = lose
                return False
            return True

        watched.proxy.after_call = lose_the_write_and_all_after
        failed = await append(http, memory, session, "ada", "turn-1", "q 1", "a 1")
        assert (failed.status_code, failed.json()["code"]) == (503, "store_unavailable")
        assert failed.headers["Retry-After"].isdigit()
        watched.proxy.after_call = pass_on
        again = await append(http, memory, session, "ada", "turn-1", "other", "words")
        assert again.status_code == 200
        assert "Idempotent-Replayed" in again.headers
        assert await history(http, memory, session) == ["q 0", "a 0", "q 1", "a 1"]
