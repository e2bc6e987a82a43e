"""A store that is full: what is reported, and how deleting frees space."""

import pytest

from tests.fake_dapr import Commit
from tests.fake_time import run
from tests.service_under_test import Service
from tests.sized_sidecar import seed_list

ROOM_AFTER_DELETES = 3
"""Deletes after which the store has room again."""


def fill_up(service: Service) -> None:
    """Let the store be full until some keys are deleted."""
    deleted: list[str] = []

    def see(commit: Commit) -> None:
        if commit.data is None:
            deleted.append(commit.key)
            service.dapr.full = len(deleted) < ROOM_AFTER_DELETES

    service.dapr.full = True
    service.dapr.on_commit.append(see)


async def converse(service: Service, session: str, turns: int = 60) -> None:
    for number in range(turns):
        assert (await service.append(session, f"t{number}", f"secret {number}", "reply")).status_code == 201


@pytest.mark.parametrize("path", ["/conversations/s", "/conversations/s?user_id=u", "/memories/u"])
def test_deleting_frees_space(service: Service, path: str) -> None:
    """The tombstone is refused, so the pages are removed first. After that there is room for it."""

    async def scenario() -> None:
        await converse(service, "s")
        await converse(service, "other", 3)
        fill_up(service)
        assert (await service.append("other", "t", "more")).json()["code"] == "store_refuses_writes"
        assert (await service.http.delete(path)).status_code == 204
        assert "secret" not in str(service.dapr.value("session:s"))
        assert not [key for key in service.dapr.values() if key.startswith("session:s:")]
        assert (await service.http.get("/conversations/s")).status_code == 410

    run(scenario())


@pytest.mark.parametrize("path", ["/conversations/s?user_id=v", "/memories/v"])
def test_space_is_freed_of_ones_own_only(service: Service, path: str) -> None:
    """Another user's delete on a full store removes nothing, also if the other's list names the session."""

    async def scenario() -> None:
        await converse(service, "s")
        service.dapr.seed("sessions-of:v", service.dapr.value("sessions-of:u"))
        before = await service.contents("s")
        service.dapr.full = True
        assert (await service.http.delete(path)).status_code in (403, 503)
        assert await service.contents("s") == before

    run(scenario())


def test_a_full_store_is_named(service: Service) -> None:
    """Every write is 503 with the same code, at once and not after the deadline. Reads succeed."""

    async def scenario() -> None:
        await converse(service, "s", 3)
        service.dapr.full = True
        profile = {"name": "Ann", "preferred_style": "formal", "goal": "plan"}
        responses = [
            await service.append("s", "t", "more"),
            await service.append("new", "t", "first"),
            await service.http.post("/conversations/s", json={"history": []}),
            await service.http.post("/memories/u/initialize", json=profile),
            await service.http.patch("/memories/u", json={"goal": "learn"}),
            await service.http.delete("/conversations/s"),
            await service.http.delete("/memories/u"),
        ]
        assert [(it.status_code, it.json()["code"]) for it in responses] == [(503, "store_refuses_writes")] * 7
        assert len(await service.contents("s")) == 6

    run(scenario())


def test_space_is_freed_by_a_session_far_back_in_a_long_list(service: Service) -> None:
    """The only session of the user that has pages is the newest of a hundred."""

    async def scenario() -> None:
        await converse(service, "s")
        seed_list(service.dapr, "u", [*(f"empty{number}" for number in range(99)), "s"])
        fill_up(service)
        assert (await service.http.delete("/memories/u")).status_code == 204
        assert not [key for key in service.dapr.values() if key.startswith("session:s:")]

    run(scenario())
