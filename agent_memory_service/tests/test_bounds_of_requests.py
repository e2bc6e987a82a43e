"""What a request may cost before its route runs: the bytes and the time of bodies, and the size of a 422."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.types import ASGIApp, Message, Scope

from api import bodies
from main import create_app
from models import ProfileChange
from tests.fake_clients import Sidecar
from tests.fake_dapr import FakeDapr
from tests.fake_time import run
from tests.service_under_test import Service
from tests.workload import SETTINGS

MIB = 1024 * 1024
JSON_BODY = {"content-type": "application/json"}
MAX_SECONDS = 60
"""Three times the longest that a body may take."""
SMALL_RESPONSE_BYTES = 4_000
"""A 422 with any input: a screenful."""


class HalfSent:
    """A request whose body stops arriving before its end."""

    def __init__(self, app: ASGIApp, size: int) -> None:
        self._messages: list[Message] = [{"type": "http.request", "body": b"x" * size, "more_body": True}]
        self._app = app
        self.sent: list[Message] = []
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        scope: Scope = {"type": "http", "method": "PATCH", "path": "/memories/u", "query_string": b""}
        scope["headers"] = [(b"content-type", b"application/json"), (b"host", b"memory")]
        await self._app(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if self._messages:
            return self._messages.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def _send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int | None:
        return self.sent[0]["status"] if self.sent else None


def test_bodies_that_stop_arriving_hold_a_bounded_number_of_bytes() -> None:
    """Of 200 half-sent bodies of 3 MiB, as many are held as the bound allows; the others are 503 with Retry-After."""

    async def scenario() -> None:
        app = create_app(SETTINGS, sidecar_transport=Sidecar(FakeDapr()))
        requests = [HalfSent(app, 3 * MIB) for _ in range(200)]
        await asyncio.sleep(1)
        waiting = [request for request in requests if request.status is None]
        assert 1 <= len(waiting) <= bodies.MAX_HELD_BYTES // (3 * MIB - bodies.FREE_BODY_BYTES)
        refused = next(request for request in requests if request.status is not None)
        assert (refused.status, json.loads(refused.sent[1]["body"])["code"]) == (503, "overloaded")
        assert (b"retry-after", b"1") in refused.sent[0]["headers"]

    run(scenario())


def test_a_body_must_arrive_in_time_and_then_holds_nothing() -> None:
    """A body that stops arriving is 408 after BODY_SECONDS. Then others may have its share."""

    async def scenario() -> None:
        app = create_app(SETTINGS, sidecar_transport=Sidecar(FakeDapr()))
        for _ in range(3):
            requests = [HalfSent(app, 3 * MIB) for _ in range(20)]
            await asyncio.gather(*(request.task for request in requests))
            statuses = [request.status for request in requests]
            assert statuses == [408] * statuses.count(408)
            assert json.loads(requests[0].sent[1]["body"])["code"] == "body_too_slow"
            assert (b"connection", b"close") in requests[0].sent[0]["headers"]
        assert asyncio.get_running_loop().time() == 3 * bodies.BODY_SECONDS <= MAX_SECONDS

    run(scenario())


def test_a_turn_is_accepted_while_long_bodies_use_their_whole_share(service: Service) -> None:
    """A short body does not count against the bound."""

    async def scenario() -> None:
        requests = [HalfSent(service.app, 4 * MIB - 1) for _ in range(50)]
        await asyncio.sleep(1)
        assert any(request.status == 503 for request in requests)
        assert (await service.append("s", "t", "x" * 10_000)).status_code == 201

    run(scenario())


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), MIB):
        yield body[at : at + MIB]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/memories/u", json.dumps({f"f{number}": 0 for number in range(100_000)})),
        ("PATCH", "/memories/u", json.dumps({"f" * MIB: 0})),
        ("POST", "/conversations/s", json.dumps({"history": [0] * 9_000})),
        ("POST", "/conversations/s", json.dumps({"history": [{}] * 1_000_000})),
        (
            "POST",
            "/conversations/s/turns",
            json.dumps({"turn_id": "x" * MIB, "user_id": " " * MIB, "entries": [0] * 500_000}),
        ),
        ("PUT", "/conversations/s/summary", json.dumps({"text": "x" * MIB, "through": "y" * MIB, "epoch": "z" * MIB})),
    ],
)
def test_a_422_is_short_whatever_the_input_is(service: Service, method: str, path: str, body: str) -> None:
    """A response lists a bounded number of invalid fields, each with a short text, and repeats no input."""

    async def scenario() -> None:
        content = in_pieces(body.encode())
        response = await service.http.request(
            method, path, content=content, headers={"content-type": "application/json"}
        )
        assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
        assert response.json()["detail"][0]["msg"]
        assert len(response.content) < SMALL_RESPONSE_BYTES

    run(scenario())


def test_an_unknown_field_of_a_change_is_named(service: Service) -> None:
    """The first unknown field is reported as before; a change with it is not stored."""

    async def scenario() -> None:
        response = await service.http.patch("/memories/u", json={"goal": "x", "nick": "y", "more": "z"})
        (item,) = response.json()["detail"]
        assert (response.status_code, item["type"], item["loc"]) == (422, "extra_forbidden", ["body", "nick"])
        assert service.dapr.values() == {}

    run(scenario())


def test_a_422_lists_a_bounded_number_of_fields(service: Service) -> None:
    """Of 1,000 invalid fields the first 20 are listed."""
    fields = [{"type": "missing", "loc": ("body", number), "msg": "Field required"} for number in range(1_000)]

    @service.app.get("/invalid")
    async def invalid() -> None:
        raise RequestValidationError(fields)

    async def scenario() -> None:
        listed = (await service.http.get("/invalid")).json()["detail"]
        assert [item["loc"] for item in listed] == [["body", number] for number in range(20)]

    run(scenario())


def test_unknown_fields_are_not_reported_one_by_one() -> None:
    """Validation stops at the first of 400,000 unknown fields: a report of all of them took seconds."""
    with pytest.raises(ValidationError) as caught:
        ProfileChange.model_validate({f"f{number}": 0 for number in range(400_000)})
    assert caught.value.error_count() == 1
