"""The order of sessions by activity: what a list shows, and what it costs a turn."""

import asyncio
from collections import Counter

import httpx
import pytest

from activity import ACTIVITY_SECONDS
from list_compaction import COMPACT_AFTER
from tests.fake_clients import Fault, is_write
from tests.fake_time import run
from tests.rules_harness import Simulate, settled
from tests.service_under_test import Service
from tests.user_workload import Erase, ListByActivity, Listed, ListSessions
from tests.workload import Append

LIST_KEY = "sessions-of:u"
BEFORE = [Append("s", "a"), Append("t", "b")]


async def listed(service: Service, query: str = "order=activity") -> list[str]:
    """The ids of the first page."""
    page = (await service.http.get(f"/memories/u/conversations?{query}")).json()
    return [item["session_id"] for item in page["conversations"]]


def counted(service: Service) -> Counter[str]:
    """Count the calls about the user's list from now on."""
    calls: Counter[str] = Counter()

    def see(request: httpx.Request) -> Fault:
        if LIST_KEY in f"{request.url}{request.content.decode()}".replace("%3A", ":"):
            calls["write" if is_write(request) else "read"] += 1
        return Fault.NONE

    service.sidecar.faults = see
    return calls


def test_the_session_with_the_latest_activity_is_first(service: Service) -> None:
    """A turn in an old session moves it to the front. The order of creation stays as it is."""

    async def scenario() -> None:
        for number in range(5):
            await service.append(f"s{number}", "t", "hello")
            await asyncio.sleep(60)
        await asyncio.sleep(ACTIVITY_SECONDS)
        for session in ("s1", "s3", "s0"):
            await service.append(session, "later", "again")
            await asyncio.sleep(1)
        assert await listed(service) == ["s0", "s3", "s1", "s4", "s2"]
        assert await listed(service, "order=created") == await listed(service, "") == ["s4", "s3", "s2", "s1", "s0"]

    run(scenario())


def test_pages_by_activity_have_every_session_once(service: Service) -> None:
    """Marks of several rounds leave no session out and none in two pages."""

    async def scenario() -> None:
        for round_ in range(4):
            for number in range(0, 30, round_ + 1):
                await service.append(f"s{number}", f"t{round_}", "hello")
            await asyncio.sleep(ACTIVITY_SECONDS + 1)
        found, before = [], ""
        while before is not None:
            query = f"order=activity&limit=7{before and f'&before={before}'}"
            page = (await service.http.get(f"/memories/u/conversations?{query}")).json()
            found += [item["session_id"] for item in page["conversations"]]
            before = page["before"]
        assert sorted(found) == sorted(f"s{number}" for number in range(30))
        assert set(found[:8]) == {f"s{number}" for number in range(0, 30, 4)}

    run(scenario())


def test_within_a_page_the_order_is_exact(service: Service) -> None:
    """Turns that came before the next mark was due count too."""

    async def scenario() -> None:
        for session in ("a", "b"):
            await service.append(session, "t", "hello")
            await asyncio.sleep(1)
        await service.append("a", "later", "again")
        assert await listed(service) == ["a", "b"]

    run(scenario())


def test_an_ordinary_turn_costs_no_call_more(service: Service) -> None:
    """A session is marked at most once in ten minutes: one read and one write of the list."""

    async def scenario() -> None:
        await service.append("a", "t", "hello")
        await service.append("b", "t", "hello")
        calls = counted(service)
        for turn in range(60):  # an hour of turns
            await asyncio.sleep(60)
            await service.append("a", f"a{turn}", "hello")
            await service.append("b", f"b{turn}", "hello")
        assert calls["write"] <= 2 * 6
        assert calls["read"] <= 2 * 6

    run(scenario())


def test_a_repeat_adds_no_mark(service: Service) -> None:
    """It may come any number of times."""

    async def scenario() -> None:
        await service.append("s", "t", "hello")
        await service.append("newer", "t", "hello")
        await asyncio.sleep(ACTIVITY_SECONDS + 1)
        calls = counted(service)
        for _ in range(3):
            assert (await service.append("s", "t", "hello")).status_code == 200
        assert not calls

    run(scenario())


def test_a_mark_is_decided_on_the_list_as_it_is(service: Service) -> None:
    """The list was kept for a new session. Meanwhile another replica marked a session: this one is not the newest."""

    async def scenario() -> None:
        other = service.another_replica()
        await service.append("s", "t", "hello")
        await asyncio.sleep(ACTIVITY_SECONDS + 1)
        await service.http.get("/memories/u?new_session_id=new")
        await other.append("t", "t", "hello")
        await service.append("s", "later", "again")
        calls = counted(service)
        await asyncio.sleep(ACTIVITY_SECONDS + 1)
        await service.append("s", "last", "again")
        assert calls == {"read": 1}
        assert await listed(service, "order=activity&limit=1") == ["s"]

    run(scenario())


def test_the_newest_session_needs_no_mark(service: Service) -> None:
    """Whoever talks in one session for days adds nothing to the list."""

    async def scenario() -> None:
        await service.append("old", "t", "hello")
        await service.append("a", "t", "hello")
        calls = counted(service)
        for turn in range(10):
            await asyncio.sleep(ACTIVITY_SECONDS + 1)
            await service.append("a", f"t{turn}", "hello")
        assert calls == {"read": 10}

    run(scenario())


def test_a_list_that_cannot_be_written_costs_no_turn(service: Service) -> None:
    """The turn is saved, and the session stays where it was."""

    async def scenario() -> None:
        await service.append("a", "t", "hello")
        await service.append("b", "t", "hello")
        await asyncio.sleep(ACTIVITY_SECONDS + 1)
        lists_fail = lambda request: (  # noqa: E731
            Fault.ERROR_NOT_DONE if is_write(request) and LIST_KEY in request.content.decode() else Fault.NONE
        )
        service.sidecar.faults = lists_fail
        assert (await service.append("a", "later", "again")).status_code == 201
        assert await listed(service, "order=activity&limit=1") == ["b"]

    run(scenario())


@pytest.mark.slow
def test_marks_are_compacted(service: Service) -> None:
    """Months of turns in two sessions leave a short list."""

    async def scenario() -> None:
        for turn in range(3 * COMPACT_AFTER):
            for session in ("a", "b"):
                await service.append(session, f"t{turn}", "hello")
            await asyncio.sleep(ACTIVITY_SECONDS + 1)
            if turn % COMPACT_AFTER == 0:
                await listed(service)
        await listed(service, "order=activity&limit=2")
        await asyncio.sleep(60)
        part = await service.memory.sessions._log.head(LIST_KEY)
        assert part is not None
        assert part.total < 3 * COMPACT_AFTER
        assert sorted(await listed(service)) == ["a", "b"]

    run(scenario())


def test_a_replaced_session_keeps_its_place(service: Service) -> None:
    """The tutorial's POST changes the messages only."""

    async def scenario() -> None:
        await service.append("a", "t", "hello")
        await service.append("b", "t", "hello")
        await asyncio.sleep(ACTIVITY_SECONDS + 1)
        await service.append("a", "later", "again")
        await service.http.post("/conversations/a", json={"history": [{"role": "user", "content": "new"}]})
        assert await listed(service, "order=activity&limit=1") == ["a"]

    run(scenario())


def test_clients_may_send_any_timestamp(service: Service) -> None:
    """A time that is none counts as the session's beginning."""

    async def scenario() -> None:
        await service.append("a", "t", "hello")
        entry = {"role": "user", "content": "hello", "timestamp": "yesterday"}
        await service.http.post("/conversations/b/turns", json={"turn_id": "t", "user_id": "u", "entries": [entry]})
        assert sorted(await listed(service)) == ["a", "b"]

    run(scenario())


@pytest.mark.parametrize("fault", [Fault.RESPONSE_LOST, Fault.ERROR_DONE, Fault.REQUEST_LOST])
def test_a_mark_read_before_its_head_stays(simulate: Simulate, fault: Fault) -> None:
    """A marks s in the list. L reads the list before A writes the head. The mark is not dead: s is listed after."""
    simulation = simulate([Append("s", "p")], [ListByActivity("s")], before=BEFORE, pause_seconds=5.0)
    simulation.reach("0.0", "save session:s")
    simulation.complete("1.0")
    simulation.step("0.0", fault)
    assert simulation.complete("0.0").error is None
    simulation.finish()  # the compaction that the reader has started
    assert simulation.request(ListByActivity("s")).result == Listed(["s", "t"])
    assert simulation.request(ListSessions("s")).result == Listed(["t", "s"])
    settled(simulation)


def test_an_erased_list_is_not_revived_by_a_mark(simulate: Simulate) -> None:
    """A is about to mark s. E erases the user. A finds the tombstone of the list, and then that of s: 410."""
    simulation = simulate([Append("s", "p")], [Erase("s")], before=BEFORE, pause_seconds=5.0)
    simulation.reach("0.0", f"save {LIST_KEY}")
    assert simulation.complete("1.0").error is None
    error = simulation.complete("0.0").error
    assert error is not None
    assert error.status == 410
    head = simulation.dapr.value(LIST_KEY)
    assert isinstance(head, dict)
    assert (head["deleted"], head["history"]) == (True, [])
    settled(simulation)
