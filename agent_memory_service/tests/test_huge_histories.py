"""Sessions with messages so long that an append makes a document too large. Only the tutorial's code writes such."""

import asyncio

import pytest

from tests.fake_time import run
from tests.fake_wire import JSON, encoded
from tests.service_under_test import Service

BODY_BYTES = 4 * 1024 * 1024
"""Largest request that Dapr accepts."""
TOO_LARGE = (413, "history_too_large")


def document(messages: int, size: int = BODY_BYTES - 500, **fields: JSON) -> JSON:
    """A document of so many messages that are equally long, `size` bytes together."""
    empty: list[JSON] = [{"role": "user", "content": "", "timestamp": ""} for _ in range(messages)]
    length = (size - len(encoded({"history": empty, **fields}))) // messages
    return {"history": [{"role": "user", "content": "x" * length, "timestamp": ""} for _ in range(messages)], **fields}


@pytest.mark.parametrize("messages", [1, 30])
def test_an_append_that_the_store_cannot_take_is_refused_before_it_is_listed(service: Service, messages: int) -> None:
    """However often it is repeated, it has its own code and leaves nothing. The session can be read and deleted."""

    async def scenario() -> None:
        service.dapr.seed("session:s", document(messages))
        await service.append("other", "t", "a", user="u")
        before = service.dapr.values()
        for _ in range(3):
            response = await service.append("s", "t", "a", "b")
            assert (response.status_code, response.json()["code"]) == TOO_LARGE
        assert service.dapr.values() == before
        assert len(await service.contents("s")) == messages
        assert (await service.http.post("/conversations/s", json={"history": []})).status_code == 200
        assert (await service.append("s", "t", "a", "b")).status_code == 201

    run(scenario())


@pytest.mark.parametrize("messages", [31, 1_000])
def test_a_large_history_that_can_be_cut_into_pages_is_continued(service: Service, messages: int) -> None:
    """What counts is the size of the documents that an append writes, not the size of the one that it reads."""

    async def scenario() -> None:
        service.dapr.seed("session:s", document(messages))
        assert (await service.append("s", "t", "a", "b")).status_code == 201
        assert len(await service.contents("s")) == messages + 2

    run(scenario())


def test_a_page_that_the_store_cannot_take_is_found_before_the_session_is_listed(service: Service) -> None:
    """Twelve messages have almost all of the document: they would be a page that is too large."""

    async def scenario() -> None:
        huge, short = document(12), document(25, 5_000)
        assert isinstance(huge, dict)
        assert isinstance(short, dict)
        assert isinstance(huge["history"], list)
        assert isinstance(short["history"], list)
        service.dapr.seed("session:s", {"history": huge["history"] + short["history"]})
        before = service.dapr.values()
        response = await service.append("s", "t", "a")
        assert (response.status_code, response.json()["code"]) == TOO_LARGE
        assert service.dapr.values() == before

    run(scenario())


def test_an_owned_session_that_is_too_large_says_so(service: Service) -> None:
    """The user's own session, and a summary of it."""

    async def scenario() -> None:
        service.dapr.seed("session:s", document(20, owner="u", epoch="a", sealed=0))
        before = service.dapr.values()
        appended = await service.append("s", "t", "a")
        summary = {"text": "x" * 5_000, "through": 1, "epoch": "a"}
        summarized = await service.http.put("/conversations/s/summary", json=summary)
        assert [(it.status_code, it.json()["code"]) for it in (appended, summarized)] == [TOO_LARGE] * 2
        assert service.dapr.values() == before

    run(scenario())


def test_appends_that_are_too_large_together_are_written_one_by_one(service: Service) -> None:
    """There is room for 250 KB. Three appends of 100 KB wait at once: the third one is refused, the others are not."""

    async def scenario() -> None:
        service.dapr.seed("session:s", document(10, BODY_BYTES - 250_000, owner="u", epoch="a", sealed=0))
        appends = [service.append("s", f"t{number}", "x" * 100_000) for number in range(3)]
        responses = await asyncio.gather(*appends)
        assert [it.status_code for it in responses] == [201, 201, 413]
        assert len(await service.contents("s")) == 12

    run(scenario())


@pytest.mark.parametrize(("messages", "claimable"), [(20, False), (40, True)])
def test_a_user_whose_list_names_such_a_session_is_erased(service: Service, messages: int, claimable: bool) -> None:
    """A turn listed it and was refused, or is under way. It has no owner, so it stays.

    If a turn could claim it, its etag changes: the turn then lists it again.
    """

    async def scenario() -> None:
        await service.append("mine", "t", "a")
        listed: JSON = [{"session_id": "s", "timestamp": "2026-01-01T00:00:00+00:00", "turn_id": "l"}]
        service.dapr.seed("sessions-of:u", {"history": listed, "sealed": 0, "epoch": "b"})
        service.dapr.seed("session:s", document(messages, BODY_BYTES - 60))
        etag = service.dapr.entries["session:s"].etag
        assert (await service.http.delete("/memories/u")).status_code == 204
        assert (service.dapr.entries["session:s"].etag != etag) == claimable
        assert len(await service.contents("s")) == messages

    run(scenario())
