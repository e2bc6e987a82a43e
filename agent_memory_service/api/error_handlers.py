"""Every error as one JSON shape, `{"detail", "code"}`. In a 422 `detail` is FastAPI's list."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic_core import to_jsonable_python
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from errors import (
    BodyTooLarge,
    BodyTooSlow,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    ServiceError,
)

_FRAMEWORK_ERRORS: dict[int, type[ServiceError]] = {
    error.status: error for error in (NotFound, MethodNotAllowed, BodyTooSlow, BodyTooLarge, Overloaded)
}
"""The errors that are raised as HTTPException, by status: those of Starlette and of the reading of a body."""
_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
"""The methods that a route may have."""
_NOT_SENT_BACK = {"input", "ctx"}
"""Parts of a validation error that are left out: the client has the input, and it may be long."""
UNREADABLE = (
    "The body cannot be read: it must be text, not nested too deep, without numbers of too many digits. Send JSON in "
    "UTF-8."
)
"""What the response to a body says that makes the JSON parser give up. The framework does not pass on why."""
MAX_REPORTED_FIELDS = 20
"""Most invalid fields that a 422 lists: more than any form has. A body can have 400,000 of them."""
MAX_REPORTED_CHARS = 200
"""Longest text of a reported field, in characters. The name of an unknown field is the client's and may be long."""


def error_response(error: ServiceError) -> JSONResponse:
    """Return the response of an error."""
    return JSONResponse({"detail": error.detail, "code": error.code}, error.status, error.headers)


def add_error_handlers(app: FastAPI) -> None:
    """Register the handlers of all errors."""

    @app.exception_handler(ServiceError)
    async def service_error(request: Request, error: ServiceError) -> JSONResponse:
        request.app.state.memory.metrics.error_response(error)
        return error_response(error)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 400:  # FastAPI raises it if the parser fails
            return _invalid_request([{"type": "json_invalid", "loc": ["body"], "msg": UNREADABLE}])
        framework_error = _FRAMEWORK_ERRORS.get(error.status_code)
        if framework_error is not None:
            allow = _allow(request) if framework_error is MethodNotAllowed else {}
            return error_response(framework_error(headers={**(error.headers or {}), **allow}))
        return JSONResponse({"detail": error.detail, "code": "error"}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def validation_error(request: Request, error: RequestValidationError) -> JSONResponse:
        errors = error.errors()[:MAX_REPORTED_FIELDS]
        return _invalid_request([_reported({**item, "msg": _advice(item, request)}) for item in errors])

    @app.exception_handler(Exception)
    async def internal_error(request: Request, error: Exception) -> JSONResponse:
        request.app.state.memory.metrics.error_response(ServiceError())
        return error_response(ServiceError())


def _advice(item: Mapping[str, Any], request: Request) -> str:
    """Return FastAPI's message, or what to do if the whole body is wrong: FastAPI's message does not say it then."""
    where = item["loc"]
    if item["type"] == "json_invalid":
        reason = item.get("ctx", {}).get("error", "it cannot be read")
        return f"The body is not valid JSON: {reason}, at character {where[-1]}. Correct it and send it again."
    if where != ("body",):
        return str(item["msg"])
    if item["type"] == "missing":
        return "The body is missing. Send a JSON object: /docs shows its fields."
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json" and not content_type.endswith("+json"):
        return "The body was not read as JSON. Send it with the header Content-Type: application/json."
    if item["type"] in ("model_attributes_type", "dict_type"):
        return "The body is JSON, but not an object. Send a JSON object: /docs shows its fields."
    return str(item["msg"])


def _allow(request: Request) -> dict[str, str]:
    """The header Allow of a 405, with the methods of all routes of the path: the framework names those of the first."""
    routes, scope = request.app.router.routes, request.scope
    allowed = [it for it in _METHODS if any(_fits(route, {**scope, "method": it}) for route in routes)]
    return {"Allow": ", ".join(allowed)} if allowed else {}


def _fits(route: BaseRoute, scope: Scope) -> bool:
    return route.matches(scope)[0] is Match.FULL


def _reported(item: Mapping[str, object]) -> dict[str, object]:
    """Return what the client gets of one validation error."""
    return {name: _shortened(value) for name, value in item.items() if name not in _NOT_SENT_BACK}


def _shortened(value: object) -> object:
    if isinstance(value, tuple | list):
        return [_shortened(part) for part in value]
    return value[:MAX_REPORTED_CHARS] if isinstance(value, str) else value


def _invalid_request(fields: Sequence[Mapping[str, object]]) -> JSONResponse:
    body = {"detail": to_jsonable_python(fields), "code": InvalidRequest.code}
    return JSONResponse(body, InvalidRequest.status)
