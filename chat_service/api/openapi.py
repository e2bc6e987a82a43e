"""What OpenAPI says beside the routes themselves: the errors each can answer, and the callback."""

import re
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute

from callbacks import TurnEvent
from models import ErrorBody, InvalidRequestBody

Responses = dict[int | str, dict[str, Any]]  # FastAPI's own type

UNAVAILABLE: Responses = {503: {"model": ErrorBody, "description": "Cannot be done now: see Retry-After"}}

TURN_ERRORS: Responses = {
    400: {"model": ErrorBody, "description": "The text is empty"},
    403: {"model": ErrorBody, "description": "The session belongs to another user"},
    410: {"model": ErrorBody, "description": "The session was deleted"},
    413: {"model": ErrorBody, "description": "The body is too large"},
    422: {"model": InvalidRequestBody, "description": "The request was not understood, or its key was used before"},
    500: {"model": ErrorBody, "description": "A fault of the service"},
    502: {"model": ErrorBody, "description": "The model, or its configuration, failed"},
    504: {"model": ErrorBody, "description": "The model or the turn took too long"},
    **UNAVAILABLE,
}


# A streaming route's own media type is not that of its errors: named, they stay JSON.
STREAM_ERRORS: Responses = {
    status: {
        "description": told["description"],
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{told['model'].__name__}"}}},
    }
    for status, told in TURN_ERRORS.items()
}


def turn_callback(route: str) -> list[BaseRoute]:
    """The callback as the route of this name offers it."""
    router = APIRouter()

    @router.post("{$request.body#/callback_url}", status_code=204, operation_id=f"{route}_turn_event")
    async def turn_event(body: TurnEvent) -> None:
        """Sent when the turn is saved or has failed to be; signed as Standard Webhooks says, repeated until a 2xx."""

    return router.routes


def describe_callback_url(app: FastAPI, allowed_hosts: Sequence[str]) -> None:
    """Have the description say which callback URLs are taken: it is made once, and kept by the app."""
    hosts = "|".join(re.escape(host) for host in allowed_hosts)
    url = app.openapi()["components"]["schemas"]["Message"]["properties"]["callback_url"]
    if hosts:
        url["anyOf"][0]["pattern"] = rf"^https?://(?:{hosts})(?:[/?#].*)?$"
    else:
        url["anyOf"] = [{"type": "null"}]
