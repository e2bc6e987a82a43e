"""What the routes receive by injection, as `Annotated` aliases."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Query, Request
from fastapi.exceptions import RequestValidationError

from api.require_token import USER_STATE
from callback_urls import check_callback_url
from health import Readiness
from identity.errors import TokenMissing, UserMismatch
from identity.users import User
from memory_user_data import UserDataClient
from metrics import Metrics
from models import Message, Stop
from settings import Settings
from slots import Slots
from turn.in_flight import RunningTurns
from turn.request import StopRequest, TurnRequest
from turn.unsaved import UnsavedReplies

MAX_KEY_CHARS = 255
"""Longest Idempotency-Key, in characters. A UUID has 36; 255 is the usual limit of other APIs."""


@dataclass(frozen=True)
class Services:
    """The parts of the service that `main` assembled and the routes use."""

    settings: Settings
    running_turns: RunningTurns
    readiness: Readiness
    user_data: UserDataClient
    unsaved: UnsavedReplies
    metrics: Metrics
    waiting_requests: Slots
    waiting_stops: Slots
    """Of their own: a stop is needed most when all places for requests are taken, and it frees some."""
    open_streams: Slots
    renderings: Slots


async def _services(request: Request) -> Services:
    services = request.app.state.services
    if not isinstance(services, Services):
        raise TypeError("app.state.services is not set")
    return services


ServicesInUse = Annotated[Services, Depends(_services)]


async def _token_user(request: Request, services: ServicesInUse) -> User | None:
    """The user that RequireToken found. Without one, a request with identity on is refused here as well."""
    user = request.scope.get("state", {}).get(USER_STATE)
    if isinstance(user, User):
        return user
    if services.settings.oidc_issuer is not None:
        raise TokenMissing
    return None


TokenUser = Annotated[User | None, Depends(_token_user)]
"""The user of the request's token; None if identity is off."""


def requested_user(token_user: User | None, user_id: str | None, *location: str) -> User:
    """The user that a request is for: the token's, or the one that the field at `location` claims.

    Raises UserMismatch if both differ, and a validation error if there is neither.
    """
    if token_user is None:
        if user_id is None:
            raise RequestValidationError([{"type": "missing", "loc": location, "msg": "Field required"}])
        return User.claimed(user_id)
    if user_id is not None and not token_user.is_named(user_id):
        raise UserMismatch
    return token_user


IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=MAX_KEY_CHARS,
        description="The same key gives the same reply, however often the request is sent: once its turn is saved, "
        "for as long as it is among the session's last 128 turns.",
        openapi_examples={
            "none": {"summary": "without a key", "value": ""},
            "key": {"summary": "a new UUID for each message", "value": "0b5e8f6c-6a1e-4d43-9d3c-2f1f0a7c9b11"},
        },
    ),
]


Resume = Annotated[
    bool,
    Query(
        description="Only join the running turn of this Idempotency-Key or return its reply. If there is neither, the "
        "response is 404 and the model is not asked.",
    ),
]


async def _requested_turn(
    message: Message,
    token_user: TokenUser,
    services: ServicesInUse,
    idempotency_key: IdempotencyKey = None,
    resume: Resume = False,
) -> TurnRequest:
    user = requested_user(token_user, message.user_id, "body", "user_id")
    request = TurnRequest.from_message(message, user, idempotency_key, is_resumed=resume)
    check_callback_url(request.callback_url, services.settings)
    return request


RequestedTurn = Annotated[TurnRequest, Depends(_requested_turn)]


KeyOfTurn = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=MAX_KEY_CHARS,
        description="The key of the turn's request.",
        examples=["0b5e8f6c-6a1e-4d43-9d3c-2f1f0a7c9b11"],
    ),
]


async def _requested_stop(stop: Stop, token_user: TokenUser, idempotency_key: KeyOfTurn) -> StopRequest:
    user = requested_user(token_user, stop.user_id, "body", "user_id")
    return StopRequest.of(user, stop.session_id, idempotency_key)


RequestedStop = Annotated[StopRequest, Depends(_requested_stop)]
