"""The cost of a turn at the store: the same calls and bytes at 100 messages as at 10,000."""

import asyncio
from collections import Counter

import httpx
import pytest

from activity import ACTIVITY_SECONDS
from dapr_state import DELETES_OF_PROCESS_AT_ONCE
from erasure import SESSIONS_AT_ONCE
from log import page_plan
from log.due_worker import ITEMS_AT_ONCE
from tests.fake_clients import Sidecar
from tests.fake_time import run
from tests.service_under_test import Service
from tests.workload import memory_over

CYCLES = 3
"""Seal cycles that are measured: whole ones, so that every measurement has the same number of pages."""
SWEPT_SECONDS = 200
"""Seconds after which the pages of a replaced epoch, and its name in the head, are gone."""
TURN_SECONDS = 20
"""Time between two turns: an ordinary rate, at which the head alone remembers the window of repeats."""
NUMBERS_GROW_BYTES = 12
"""Bytes that a call may grow at 10,000 messages: `sealed`, `announced`, `largest_page`, up to seven `marks` and the
page's key have more digits. The mean of reads and writes is 9."""


async def steady(service: Service, messages: int) -> int:
    """Append turns of two messages until the session has about `messages`. Returns the number of the next turn."""
    for turn in range(messages // 2):
        response = await service.append("s", f"{turn:06}", "a" * 100, "b" * 100)
        assert response.status_code == 201
        await asyncio.sleep(TURN_SECONDS)
    return messages // 2


async def cost(service: Service, first: int) -> tuple[Counter[str], Counter[str]]:
    """Append turns for whole seal cycles. Returns the calls by kind and the bytes by direction.

    A turn before marks the session as active. So the next mark, which reads the list, falls into the measurement.
    """
    await asyncio.sleep(ACTIVITY_SECONDS)
    await service.append("s", f"before-{first:06}", "a" * 100, "b" * 100)
    service.dapr.calls.clear()
    service.dapr.traffic.clear()
    for turn in range(first, first + CYCLES * page_plan.PAGE_ENTRIES):
        await service.append("s", f"{turn:06}", "a" * 100, "b" * 100)
        await asyncio.sleep(TURN_SECONDS)
    return Counter(service.dapr.calls), Counter(service.dapr.traffic)


def test_a_turn_costs_the_same_at_any_length(service: Service) -> None:
    """One read and one write a turn, and one more write for each page; equal bytes except for digits.

    Once in ten minutes one read more: of the user's list, for the order by activity.
    """

    async def scenario() -> None:
        turns = await steady(service, 100)
        calls, traffic = await cost(service, turns)
        entries = [{"role": "user", "content": "c" * 100} for _ in range(9_800)]
        await service.http.post("/conversations/s", json={"history": entries})
        await asyncio.sleep(SWEPT_SECONDS)
        later = await steady_again(service, turns)
        calls_later, traffic_later = await cost(service, later)
        appends = CYCLES * page_plan.PAGE_ENTRIES
        assert calls == calls_later == {"get": appends + 1, "save": appends + 2 * CYCLES}
        for way, amount in traffic.items():
            assert abs(amount - traffic_later[way]) <= NUMBERS_GROW_BYTES * calls.total()

    run(scenario())


async def steady_again(service: Service, turns: int) -> int:
    """Append turns after a replace until all remembered ids are new and the head is short again."""
    first = turns + CYCLES * page_plan.PAGE_ENTRIES
    for turn in range(first, first + 100):
        await service.append("s", f"{turn:06}", "a" * 100, "b" * 100)
        await asyncio.sleep(TURN_SECONDS)
    return first + 100


@pytest.mark.parametrize(("query", "calls"), [("?last=20", {"get": 1}), ("?last=60", {"get": 1, "bulk": 1})])
def test_the_newest_cost_one_read_or_two(service: Service, query: str, calls: dict[str, int]) -> None:
    """The newest 20 messages are in the head; more of them cost one bulk read, not one call a page."""

    async def scenario() -> None:
        await steady(service, 100)
        service.dapr.calls.clear()
        await service.contents("s", query)
        assert service.dapr.calls == calls

    run(scenario())


def test_a_whole_read_of_short_messages_takes_few_calls(service: Service) -> None:
    """The 166 pages of 2,000 messages are known to be small: they come in one bulk read."""

    async def scenario() -> None:
        entries = [{"role": "user", "content": "c"} for _ in range(2_000)]
        await service.http.post("/conversations/s", json={"history": entries})
        await service.append("s", "t", "last")
        service.dapr.calls.clear()
        assert len(await service.contents("s")) == 2_001
        assert service.dapr.calls == {"get": 1, "bulk": 1}

    run(scenario())


def test_replaces_leave_little_to_sweep(service: Service) -> None:
    """40 replaces by long histories and then a delete: nobody wrote a page, so none is removed and none is due."""

    async def scenario() -> None:
        entries = [{"role": "user", "content": "c"} for _ in range(1_000)]
        for _ in range(40):
            await service.http.post("/conversations/s", json={"history": entries})
        service.dapr.calls.clear()
        assert (await service.http.delete("/conversations/s")).status_code == 204
        assert service.dapr.calls == {"get": 1, "save": 1}
        assert [key for key in service.dapr.values() if key.startswith("due:")] == []

    run(scenario())


@pytest.mark.slow
def test_an_erase_of_many_sessions_leaves_the_store_to_others(service: Service) -> None:
    """Few calls are under way at once: within the erase, and in the sweeps of its sessions. No page is read."""
    under_way = [0]
    most = [0]

    class Counting(Sidecar):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
            try:
                return await super().handle_async_request(request)
            finally:
                under_way[0] -= 1

    async def scenario() -> None:
        for number in range(30):
            entries = [{"role": "user", "content": "c"} for _ in range(300)]
            await service.http.post(f"/conversations/s{number}", json={"history": entries})
            await service.append(f"s{number}", "t", "x")
        assert len([key for key in service.dapr.values() if key.startswith("session:s0:")]) > 20
        sidecar = Counting(service.dapr)
        sidecar.latency_seconds = 0.001
        memory = memory_over(sidecar, service.dapr.kind)
        service.dapr.calls.clear()
        await memory.erasure.erase("u")
        assert most[0] <= SESSIONS_AT_ONCE + DELETES_OF_PROCESS_AT_ONCE + 1  # the due list
        assert service.dapr.calls["bulk"] < 20
        assert [key for key in service.dapr.values() if key.count(":") == 3] == []
        most[0] = 0
        await memory.start()
        await asyncio.sleep(2 * 60 * 60)
        assert [key for key in service.dapr.values() if key.startswith("due:")] == ["due:done"]
        assert 0 < most[0] <= DELETES_OF_PROCESS_AT_ONCE + ITEMS_AT_ONCE

    run(scenario())
