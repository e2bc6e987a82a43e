"""What the routes work with, and how they come by it."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request

import trace_context
from callbacks import check_callback_url
from errors import ServiceError
from health import Readiness
from models import Message, TurnRequest
from settings import Settings
from turn.in_flight import RunningTurns
from turn.request import turn_request

MAX_KEY_CHARS = 255


@dataclass(frozen=True)
class Services:
    """The parts of the running service that requests need."""

    settings: Settings
    turns: RunningTurns
    readiness: Readiness


async def services_of(request: Request) -> Services:
    """The services that `main` put together."""
    services = request.app.state.services
    if not isinstance(services, Services):
        raise TypeError("app.state.services is not set")
    return services


ServicesInUse = Annotated[Services, Depends(services_of)]

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=MAX_KEY_CHARS,
        description="The same key gives the same reply, however often the request is sent: once its turn is saved, "
        "for as long as it is among the session's last 128 turns.",
    ),
]


async def asked_turn(
    message: Message, request: Request, services: ServicesInUse, idempotency_key: IdempotencyKey = None
) -> TurnRequest:
    """The turn that a request asks for. Raises ServiceError where it cannot be taken."""
    if not message.text.strip():
        raise ServiceError(400, "empty_text", "Message text cannot be empty")
    turn = turn_request(message, idempotency_key)
    check_callback_url(turn.callback_url, services.settings)
    trace_context.enter(request.headers.get("traceparent"), request.headers.get("tracestate"))
    return turn


AskedTurn = Annotated[TurnRequest, Depends(asked_turn)]
