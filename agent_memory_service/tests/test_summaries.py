"""Summaries: what is refused, and that a correction or a removal holds against a summary that was begun before it."""

import httpx
import pytest

from tests.fake_time import run
from tests.service_under_test import Service

NONE = {"text": "", "through": 0}
STORED = {"text": "Ada has a cat.", "through": 2}
PATH = "/conversations/s/summary"


async def begun(service: Service) -> dict[str, object]:
    """Store two turns. Returns the epoch that a summary of them names."""
    for turn in ("t1", "t2"):
        await service.append("s", turn, "asked", "answered")
    return {"epoch": (await service.http.get("/conversations/s?last=1")).json()["epoch"]}


async def put(service: Service, *parts: dict[str, object]) -> httpx.Response:
    """Send a summary made of these fields."""
    return await service.http.put(PATH, json={name: value for part in parts for name, value in part.items()})


async def stored(service: Service) -> object:
    """The stored summary."""
    return (await service.http.get("/conversations/s?last=1")).json()["summary"]


@pytest.mark.parametrize("text", ["Ada has a dog.", ""])
def test_a_correction_holds_against_a_summary_begun_before_it(service: Service, text: str) -> None:
    """A summary that was made from the old text is 409, and the corrected or removed one stays."""

    async def scenario() -> None:
        epoch = await begun(service)
        await put(service, epoch, STORED, {"previous": NONE})
        correction = {"text": text, "through": 2}
        for _ in range(2):
            assert (await put(service, epoch, correction, {"previous": STORED})).json() == correction
        late = await put(service, epoch, {"text": "Ada has a cat, and asked.", "through": 4, "previous": STORED})
        assert (late.status_code, late.json()["code"]) == (409, "summary_conflict")
        assert await stored(service) == correction
        next_one = {"text": "Asked.", "through": 4}
        assert (await put(service, epoch, next_one, {"previous": correction})).json() == next_one

    run(scenario())


def test_the_first_summary_does_not_undo_a_removal(service: Service) -> None:
    """A replica began the first summary while another's was stored and removed: 409, although no text is stored."""

    async def scenario() -> None:
        epoch = await begun(service)
        await put(service, epoch, STORED)
        await put(service, epoch, {"text": "", "through": 2})
        late = await put(service, epoch, STORED, {"previous": NONE})
        assert (late.status_code, late.json()["code"]) == (409, "summary_conflict")
        assert await stored(service) == {"text": "", "through": 2}

    run(scenario())


def test_a_summary_that_names_none_before_it_is_not_compared(service: Service) -> None:
    """A chat service of the version before sends no `previous`, and its summaries are stored as they were."""

    async def scenario() -> None:
        epoch = await begun(service)
        for summary in (STORED, {"text": "Ada has a cat, and asked.", "through": 4}):
            assert (await put(service, epoch, summary)).json() == summary

    run(scenario())


def test_an_append_says_how_far_the_summary_is(service: Service) -> None:
    """`summarized` is 0 without a summary, else what it covers by now, also for a repeated append."""

    async def scenario() -> None:
        assert (await service.append("s", "t1", "asked", "answered")).json()["summarized"] == 0
        epoch = await begun(service)
        await put(service, epoch, STORED)
        for turn in ("t3", "t1"):
            assert (await service.append("s", turn, "asked", "answered")).json()["summarized"] == 2

    run(scenario())
