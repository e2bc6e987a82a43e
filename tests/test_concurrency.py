"""Many clients at once, two memory services behind one app id: what is acknowledged is kept, what is erased is gone."""

import asyncio

import httpx

from harness.system import Replica, System
from tests.calls import Sent, append, assert_kept, client, history, keep, repeated

WRITERS = 64
TURNS_EACH = 3
REPEATERS = 16
SESSIONS = 6


async def send(
    http: httpx.AsyncClient, system: System, session: str, user: str, turn_id: str, text: str
) -> httpx.Response:
    """Append a turn of one message; what came of it in the end."""
    return await repeated(lambda: append(http, system.memory, session, user, turn_id, text))


async def write(http: httpx.AsyncClient, system: System, session: str, user: str, name: str) -> list[Sent]:
    """A writer's turns, one after the other."""
    return [
        await keep(http, system.memory, session, user, f"{name}.{n}", f"{name}.{n} asked", f"{name}.{n} answered")
        for n in range(TURNS_EACH)
    ]


async def test_64_writers_on_one_session_lose_nothing(house: System) -> None:
    """Each turn is kept once, whole, and behind those acknowledged before it was sent."""
    session, user = house.new_id("session"), house.new_id("user")
    async with client() as http:
        sent = await asyncio.gather(*(write(http, house, session, user, f"writer-{n}") for n in range(WRITERS)))
        assert_kept(await history(http, house.memory, session), [turn for turns in sent for turn in turns])


def both(system: System) -> enumerate[Replica]:
    """The two memory services, numbered."""
    return enumerate(system.memories)


async def test_two_memory_services_share_one_memory(house: System) -> None:
    """Each reads whole what was written through the one and then through the other."""
    session, user = house.new_id("session"), house.new_id("user")
    async with client() as http:
        sent = [await keep(http, replica.url, session, user, f"turn-{n}", f"text {n}") for n, replica in both(house)]
        for _, replica in both(house):
            assert_kept(await history(http, replica.url, session), sent)


async def test_one_turn_sent_many_times_at_once_is_one_turn(house: System) -> None:
    """Of requests with one turn id one begins it, and all the others get it as it was recorded."""
    session, user = house.new_id("session"), house.new_id("user")

    async with client() as http:
        sending = (send(http, house, session, user, "the-turn", f"text {n}") for n in range(REPEATERS))
        answers = await asyncio.gather(*sending)
        kept = await history(http, house.memory, session)
    assert len(kept) == 1
    assert all([entry["content"] for entry in answer.json()["entries"]] == kept for answer in answers)
    fresh = [answer for answer in answers if "Idempotent-Replayed" not in answer.headers]
    assert {answer.status_code for answer in fresh} <= {201}
    assert len(fresh) <= 1  # none, where the answer to the first was lost on its way


async def test_a_reader_among_writers_sees_whole_turns_only(house: System) -> None:
    """Each read is a state that existed: it begins with what the read before it gave, and ends with a turn's end."""
    session, user = house.new_id("session"), house.new_id("user")
    async with client() as http:
        writers = [asyncio.create_task(write(http, house, session, user, f"writer-{n}")) for n in range(8)]
        seen: list[str] = []
        while not all(writer.done() for writer in writers):
            now = await history(http, house.memory, session)
            assert now[: len(seen)] == seen
            assert not now or now[-1].endswith("answered")
            seen = now
        await asyncio.gather(*writers)


async def test_a_deletion_among_writers_is_final(house: System) -> None:
    """After the deletion no turn is taken any more, and none that was under way brings the session back."""
    session, user = house.new_id("session"), house.new_id("user")
    async with client() as http:
        await keep(http, house.memory, session, user, "first", "first text")
        under_way = [
            asyncio.create_task(send(http, house, session, user, f"turn-{n}", f"text {n}")) for n in range(WRITERS)
        ]
        deleted = await repeated(lambda: http.delete(f"{house.memory}/conversations/{session}"))
        assert deleted.status_code == 204
        late = await send(http, house, session, user, "late", "late text")
        assert {answer.status_code for answer in await asyncio.gather(*under_way)} <= {200, 201, 410}
        read = await repeated(lambda: http.get(f"{house.memory}/conversations/{session}"))
    assert (late.status_code, late.json()["code"]) == (410, "session_deleted")
    assert (read.status_code, read.json()["code"]) == (410, "session_deleted")


async def test_an_erase_among_writers_is_final(house: System) -> None:
    """After an erase nothing of the user is left, whatever was under way in the user's sessions."""
    user = house.new_id("user")
    sessions = [house.new_id("session") for _ in range(SESSIONS)]
    profile = {"name": "Ada", "preferred_style": "formal", "goal": "be forgotten"}
    async with client() as http:
        await repeated(lambda: http.post(f"{house.memory}/memories/{user}/initialize", json=profile))
        for session in sessions:
            await keep(http, house.memory, session, user, "first", "first text")
        under_way = [
            asyncio.create_task(send(http, house, session, user, f"turn-{n}", f"text {n}"))
            for session in sessions
            for n in range(8)
        ]
        erased = await repeated(lambda: http.delete(f"{house.memory}/memories/{user}"))
        assert erased.status_code == 204
        assert {answer.status_code for answer in await asyncio.gather(*under_way)} <= {200, 201, 410}
        export = await repeated(lambda: http.get(f"{house.memory}/memories/{user}/export"))
        assert export.json() == {"user_id": user, "profile": None, "conversations": []}
        for session in sessions:
            assert (await send(http, house, session, user, "late", "late text")).status_code == 410
