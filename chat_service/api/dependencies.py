"""What the routes receive by injection, as `Annotated` aliases."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request

from callback_urls import check_callback_url
from health import Readiness
from models import Message
from settings import Settings
from slots import Slots
from turn.in_flight import RunningTurns
from turn.request import TurnRequest

MAX_KEY_CHARS = 255
"""Longest Idempotency-Key, in characters. A UUID has 36; 255 is the usual limit of other APIs."""


@dataclass(frozen=True)
class Services:
    """The parts of the service that `main` assembled and the routes use."""

    settings: Settings
    running_turns: RunningTurns
    readiness: Readiness
    waiting_requests: Slots
    open_streams: Slots


async def _services(request: Request) -> Services:
    services = request.app.state.services
    if not isinstance(services, Services):
        raise TypeError("app.state.services is not set")
    return services


ServicesInUse = Annotated[Services, Depends(_services)]

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=MAX_KEY_CHARS,
        description="The same key gives the same reply, however often the request is sent: once its turn is saved, "
        "for as long as it is among the session's last 128 turns.",
    ),
]


async def _requested_turn(
    message: Message, services: ServicesInUse, idempotency_key: IdempotencyKey = None
) -> TurnRequest:
    request = TurnRequest.from_message(message, idempotency_key)
    check_callback_url(request.callback_url, services.settings)
    return request


RequestedTurn = Annotated[TurnRequest, Depends(_requested_turn)]
