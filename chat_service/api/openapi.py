"""The parts of the OpenAPI description that the routes do not state themselves: their errors and the callback."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute

from callbacks import TurnEvent
from errors import InvalidRequest, ServiceError
from models import ErrorBody, InvalidRequestBody

Responses = dict[int | str, dict[str, Any]]
"""FastAPI's own type of `responses=`."""


def error_responses(*errors: type[ServiceError]) -> Responses:
    """The error responses of a route, one for each status, described by the errors' codes and docstrings."""
    by_status: dict[int, list[type[ServiceError]]] = {}
    for error in errors:
        by_status.setdefault(error.status, []).append(error)
    return {
        status: {"model": _body_model(status), "description": "\n".join(_described(error) for error in group)}
        for status, group in by_status.items()
    }


def stream_error_responses(*errors: type[ServiceError]) -> Responses:
    """The same for a streaming route. The media type is stated, because FastAPI would give its errors the stream's."""
    return {
        status: {
            "description": response["description"],
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{response['model'].__name__}"}}},
        }
        for status, response in error_responses(*errors).items()
    }


def turn_callback(route: str) -> list[BaseRoute]:
    """The callback of the route with this name."""
    router = APIRouter()

    @router.post(
        "{$request.body#/callback_url}",
        status_code=204,
        operation_id=f"{route}_turn_event",
        responses={"default": {"description": "Any status but 2xx: sent again, up to a number of attempts"}},
    )
    async def turn_event(body: TurnEvent) -> None:
        """Sent once the outcome of the turn's save is known, to each request that ran or joined the turn. Signed as
        Standard Webhooks specifies; retried until a response is 2xx, for a limited number of attempts.

        Not sent if the turn gives no reply, or if the process is killed before: ask again with the same Idempotency-Key
        then.
        """

    return router.routes


GROUPS = [
    {"name": "Chat", "description": "Send a message, get the agent's reply."},
    {"name": "Sessions", "description": "A user's sessions and their messages."},
    {"name": "Memory", "description": "What is remembered of a user: profile, facts, export, erase."},
    {"name": "Page", "description": "What the chat page asks beside the other routes."},
    {"name": "Service", "description": "Whether the service works."},
]
"""The groups of routes, in this order."""
_GROUP_BY_PATH = (
    ("/chat/", "Chat"),
    ("/sessions", "Sessions"),
    ("/users/", "Memory"),
    ("/whoami", "Page"),
    ("/render", "Page"),
)


def describe_groups(description: dict[str, Any]) -> None:
    """Put each route into its group, by its path."""
    description["tags"] = GROUPS
    for path, operations in description["paths"].items():
        group = next((group for part, group in _GROUP_BY_PATH if part in path), "Service")
        for operation in operations.values():
            operation["tags"] = [group]


def complete_description(app: FastAPI, *completions: Callable[[dict[str, Any]], None]) -> None:
    """Add to the description what only settings tell. It is made when it is first asked for, and kept by the app."""
    make_description = app.openapi

    def description() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = make_description()
            for complete in completions:
                complete(made)
        return app.openapi_schema or {}

    app.openapi = description  # type: ignore[method-assign]  # FastAPI's way to extend the description


def describe_callback_url(description: dict[str, Any], allowed_hosts: Sequence[str]) -> None:
    """Say which URLs a message may name for its callback."""
    hosts = "|".join(re.escape(host) for host in allowed_hosts)
    url = description["components"]["schemas"]["Message"]["properties"]["callback_url"]
    if hosts:
        url["anyOf"][0]["pattern"] = rf"^https?://(?:{hosts})(?:[/?#].*)?$"
    else:
        url["anyOf"] = [{"type": "null"}]


def _body_model(status: int) -> type[ErrorBody | InvalidRequestBody]:
    return InvalidRequestBody if status == InvalidRequest.status else ErrorBody


def _described(error: type[ServiceError]) -> str:
    return f"- `{error.code}`: {error.__doc__}"
