"""The cost of a turn at the store: the same calls and bytes at 100 messages as at 10,000."""

import asyncio
from collections import Counter

import pytest

from log import page_plan
from tests.fake_time import run
from tests.service_under_test import Service

CYCLES = 3
"""Seal cycles that are measured: whole ones, so that every measurement has the same number of pages."""
SWEPT_SECONDS = 60
"""Seconds after which the pages of a replaced epoch, and its name in the head, are gone."""
TURN_SECONDS = 20
"""Time between two turns: an ordinary rate, at which the head alone remembers the window of repeats."""
NUMBERS_GROW_BYTES = 10
"""Bytes that a call may grow: `sealed`, `largest_page` and the page's key have more digits at 10,000 messages."""


async def steady(service: Service, messages: int) -> int:
    """Append turns of two messages until the session has about `messages`. Returns the number of the next turn."""
    for turn in range(messages // 2):
        response = await service.append("s", f"{turn:06}", "a" * 100, "b" * 100)
        assert response.status_code == 201
        await asyncio.sleep(TURN_SECONDS)
    return messages // 2


async def cost(service: Service, first: int) -> tuple[Counter[str], Counter[str]]:
    """Append turns for whole seal cycles. Returns the calls by kind and the bytes by direction."""
    service.dapr.calls.clear()
    service.dapr.traffic.clear()
    for turn in range(first, first + CYCLES * page_plan.PAGE_ENTRIES):
        await service.append("s", f"{turn:06}", "a" * 100, "b" * 100)
        await asyncio.sleep(TURN_SECONDS)
    return Counter(service.dapr.calls), Counter(service.dapr.traffic)


def test_a_turn_costs_the_same_at_any_length(service: Service) -> None:
    """One read and one write a turn, and one more write for each page; equal bytes except for digits."""

    async def scenario() -> None:
        turns = await steady(service, 100)
        calls, traffic = await cost(service, turns)
        entries = [{"role": "user", "content": "c" * 100} for _ in range(9_800)]
        await service.http.post("/conversations/s", json={"history": entries})
        await asyncio.sleep(SWEPT_SECONDS)
        later = await steady_again(service, turns)
        calls_later, traffic_later = await cost(service, later)
        appends = CYCLES * page_plan.PAGE_ENTRIES
        assert calls == calls_later == {"get": appends, "save": appends + 2 * CYCLES}
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
