"""Readiness: whether a write would succeed, found out without a write at every check."""

import asyncio

import httpx

from tests.fake_clients import Fault, is_write
from tests.fake_time import run
from tests.service_under_test import Service

MINUTE_SECONDS = 60


async def readiness(service: Service) -> tuple[int, str]:
    response = await service.http.get("/health/ready")
    return response.status_code, response.json().get("code", "")


def test_a_check_reads_at_most_once_a_second_and_writes_at_most_twice_a_minute(service: Service) -> None:
    """Checks ten times a second for a minute: one read a second, and few writes, whose keys are deleted."""

    async def scenario() -> None:
        await readiness(service)
        service.dapr.calls.clear()
        for _ in range(10 * MINUTE_SECONDS):
            assert await readiness(service) == (200, "")
            await asyncio.sleep(0.1)
        assert service.dapr.calls["get"] <= MINUTE_SECONDS + 1
        assert 1 <= service.dapr.calls["save"] <= 2
        assert service.dapr.calls["delete"] == service.dapr.calls["save"]
        assert service.dapr.values() == {}

    run(scenario())


def test_writes_of_requests_show_that_writes_succeed(service: Service) -> None:
    """While turns are stored, a check writes nothing."""

    async def scenario() -> None:
        await service.append("s", "first", "a")
        keys: list[str] = []
        service.dapr.on_commit.append(lambda commit: keys.append(commit.key))
        for number in range(MINUTE_SECONDS):
            await service.append("s", str(number), "a")
            assert await readiness(service) == (200, "")
            await asyncio.sleep(1)
        assert not [key for key in keys if not key.startswith("session:s")]

    run(scenario())


def test_a_store_that_refuses_writes_is_not_ready(service: Service) -> None:
    """A full store answers reads, so the read alone would be 200. It is ready again when it has space."""

    async def scenario() -> None:
        await service.append("s", "t", "a")
        service.dapr.full = True
        await service.append("s", "t2", "b")
        assert await readiness(service) == (503, "store_refuses_writes")
        assert await service.contents("s") == ["a"]
        service.dapr.full = False
        await asyncio.sleep(1.1)
        assert await readiness(service) == (200, "")

    run(scenario())


def test_a_store_that_loses_writes_is_not_ready(service: Service) -> None:
    """Writes get no response although reads do."""

    async def scenario() -> None:
        await service.append("s", "t", "a")
        service.sidecar.faults = lambda request: Fault.REQUEST_LOST if is_write(request) else Fault.NONE
        assert (await service.append("s", "t2", "b")).status_code == 503
        assert await readiness(service) == (503, "store_unavailable")

    run(scenario())


def test_a_lost_race_costs_a_check_one_write(service: Service) -> None:
    """A write that was refused because another one came first says nothing about the store."""

    async def scenario() -> None:
        await service.append("s", "t", "a")

        def lose(request: httpx.Request) -> Fault:
            return Fault.CONFLICT_NOT_DONE if is_write(request) and b"session:s" in request.content else Fault.NONE

        service.sidecar.faults = lose
        await service.append("s", "t2", "b")
        assert await readiness(service) == (200, "")

    run(scenario())
