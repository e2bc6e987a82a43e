"""Many clients at once at two memory services: acknowledged turns are kept, erased data is gone."""

import asyncio

import httpx

from harness.system import Replica, System
from tests.calls import Sent, append, assert_kept, client, history, keep, repeated

WRITERS = 64
"""Clients that write to one session at the same time."""

TURNS_EACH = 3
"""Turns of each writer, one after the other."""

REPEATERS = 16
"""Requests with one turn id at the same time."""

SESSIONS = 6
"""Sessions of the user who is erased."""


async def send(
    http: httpx.AsyncClient, system: System, session: str, user: str, turn_id: str, text: str
) -> httpx.Response:
    """Append a turn of one message, repeated until the response is final."""
    return await repeated(lambda: append(http, system.memory, session, user, turn_id, text))


async def write(http: httpx.AsyncClient, system: System, session: str, user: str, name: str) -> list[Sent]:
    """Append a writer's turns, one after the other."""
    return [
        await keep(http, system.memory, session, user, f"{name}.{n}", f"{name}.{n} asked", f"{name}.{n} answered")
        for n in range(TURNS_EACH)
    ]


async def test_64_writers_on_one_session_lose_nothing(system: System) -> None:
    """Each turn is kept once, whole, and behind the turns acknowledged before it was sent."""
    session, user = system.new_id("session"), system.new_id("user")
    async with client() as http:
        sent = await asyncio.gather(*(write(http, system, session, user, f"writer-{n}") for n in range(WRITERS)))
        assert_kept(await history(http, system.memory, session), [turn for turns in sent for turn in turns])


def both(system: System) -> enumerate[Replica]:
    """Return the two memory services, numbered."""
    return enumerate(system.memories)


async def test_two_memory_services_share_one_memory(system: System) -> None:
    """Both read all turns, one written through the first and one through the second."""
    session, user = system.new_id("session"), system.new_id("user")
    async with client() as http:
        sent = [await keep(http, replica.url, session, user, f"turn-{n}", f"text {n}") for n, replica in both(system)]
        for _, replica in both(system):
            assert_kept(await history(http, replica.url, session), sent)


async def test_one_turn_sent_many_times_at_once_is_one_turn(system: System) -> None:
    """Of many requests with one turn id one appends it; all others get the recorded turn."""
    session, user = system.new_id("session"), system.new_id("user")

    async with client() as http:
        sending = (send(http, system, session, user, "the-turn", f"text {n}") for n in range(REPEATERS))
        responses = await asyncio.gather(*sending)
        kept = await history(http, system.memory, session)
    assert len(kept) == 1
    assert all([entry["content"] for entry in response.json()["entries"]] == kept for response in responses)
    fresh = [response for response in responses if "Idempotent-Replayed" not in response.headers]
    assert {response.status_code for response in fresh} <= {201}
    assert len(fresh) <= 1  # none if the response to the first was lost


async def test_a_reader_among_writers_sees_whole_turns_only(system: System) -> None:
    """Each read begins with the result of the read before it, and ends with the last message of a turn."""
    session, user = system.new_id("session"), system.new_id("user")
    async with client() as http:
        writers = [asyncio.create_task(write(http, system, session, user, f"writer-{n}")) for n in range(8)]
        seen: list[str] = []
        while not all(writer.done() for writer in writers):
            now = await history(http, system.memory, session)
            assert now[: len(seen)] == seen
            assert not now or now[-1].endswith("answered")
            seen = now
        await asyncio.gather(*writers)


async def test_a_deletion_among_writers_is_final(system: System) -> None:
    """After the deletion turns are refused, and no turn that was in flight brings the session back."""
    session, user = system.new_id("session"), system.new_id("user")
    async with client() as http:
        await keep(http, system.memory, session, user, "first", "first text")
        in_flight = [
            asyncio.create_task(send(http, system, session, user, f"turn-{n}", f"text {n}")) for n in range(WRITERS)
        ]
        deleted = await repeated(lambda: http.delete(f"{system.memory}/conversations/{session}"))
        assert deleted.status_code == 204
        late = await send(http, system, session, user, "late", "late text")
        assert {response.status_code for response in await asyncio.gather(*in_flight)} <= {200, 201, 410}
        read = await repeated(lambda: http.get(f"{system.memory}/conversations/{session}"))
    assert (late.status_code, late.json()["code"]) == (410, "session_deleted")
    assert (read.status_code, read.json()["code"]) == (410, "session_deleted")


async def test_an_erase_among_writers_is_final(system: System) -> None:
    """After an erase nothing of the user is left, although turns of all sessions were in flight."""
    user = system.new_id("user")
    sessions = [system.new_id("session") for _ in range(SESSIONS)]
    profile = {"name": "Ada", "preferred_style": "formal", "goal": "be forgotten"}
    async with client() as http:
        await repeated(lambda: http.post(f"{system.memory}/memories/{user}/initialize", json=profile))
        for session in sessions:
            await keep(http, system.memory, session, user, "first", "first text")
        in_flight = [
            asyncio.create_task(send(http, system, session, user, f"turn-{n}", f"text {n}"))
            for session in sessions
            for n in range(8)
        ]
        erased = await repeated(lambda: http.delete(f"{system.memory}/memories/{user}"))
        assert erased.status_code == 204
        assert {response.status_code for response in await asyncio.gather(*in_flight)} <= {200, 201, 410}
        export = await repeated(lambda: http.get(f"{system.memory}/memories/{user}/export"))
        assert export.json() == {"user_id": user, "profile": None, "facts": [], "conversations": []}
        for session in sessions:
            assert (await send(http, system, session, user, "late", "late text")).status_code == 410
