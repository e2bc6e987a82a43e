"""Turns every error into one JSON shape, `{"detail", "code"}`. For an invalid request `detail` is FastAPI's list."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from errors import (
    BodyTooLarge,
    BodyTooSlow,
    InvalidRequest,
    MethodNotAllowed,
    Overloaded,
    PathNotFound,
    ServiceError,
)
from models import ErrorBody, InvalidField, InvalidRequestBody

_FRAMEWORK_ERRORS: dict[int, type[ServiceError]] = {
    error.status: error for error in (PathNotFound, MethodNotAllowed, BodyTooSlow, BodyTooLarge, Overloaded)
}
"""The errors that are raised as HTTPException, by status: those of the framework and of the reading of a body."""
_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
"""The methods that a route may have."""
UNREADABLE = (
    "The body cannot be read: it must be text, not nested too deep, without numbers of too many digits. Send JSON in "
    "UTF-8."
)
"""What the response to a body says that makes the JSON parser give up. The framework does not pass on why."""
MAX_REPORTED_FIELDS = 20
"""Most invalid fields that a 422 lists: more than a message has."""
MAX_REPORTED_CHARS = 200
"""Longest text of a reported field, in characters: about two lines."""


def add_error_handlers(app: FastAPI) -> None:
    """Register a handler for every kind of expected error. ReportUnexpectedErrors handles the others."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)


def error_body(error: ServiceError) -> ErrorBody:
    """The body of the error's response."""
    return ErrorBody(detail=error.detail, code=error.code)


def error_response(error: ServiceError, scope: Scope) -> JSONResponse:
    """The error's response, with its status and headers. It is counted, unless it refuses a token."""
    if error.status != HTTPStatus.UNAUTHORIZED:
        scope["app"].state.services.metrics.error_response(error)
    return JSONResponse(error_body(error).model_dump(), error.status, dict(error.headers))


async def _service_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, ServiceError):
        raise error
    return error_response(error, request.scope)


async def _validation_error(request: Request, error: Exception) -> JSONResponse:
    """The response leaves out the input: it can be long, and it can contain invalid Unicode."""
    if not isinstance(error, RequestValidationError):
        raise error
    return _invalid(
        [
            InvalidField(loc=list(it["loc"]), msg=_advice(it, request)[:MAX_REPORTED_CHARS], type=it["type"])
            for it in error.errors()[:MAX_REPORTED_FIELDS]
        ]
    )


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


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    status = error.status_code
    if status == 400:  # FastAPI raises this if the parser fails; bad syntax is a validation error
        return _invalid([InvalidField(loc=["body"], msg=UNREADABLE, type="json_invalid")])
    framework_error = _FRAMEWORK_ERRORS.get(status)
    if framework_error is not None:
        allow = _allow(request) if framework_error is MethodNotAllowed else {}
        return error_response(framework_error(headers={**(error.headers or {}), **allow}), request.scope)
    code = HTTPStatus(status).phrase.lower().replace(" ", "_")
    return JSONResponse(ErrorBody(detail=str(error.detail), code=code).model_dump(), status, error.headers)


def _allow(request: Request) -> dict[str, str]:
    """The header Allow of a 405, with the methods of all routes of the path: the framework names those of the first."""
    routes, scope = request.app.router.routes, request.scope
    allowed = [it for it in _METHODS if any(_fits(route, {**scope, "method": it}) for route in routes)]
    return {"Allow": ", ".join(allowed)} if allowed else {}


def _fits(route: BaseRoute, scope: Scope) -> bool:
    return route.matches(scope)[0] is Match.FULL


def _invalid(fields: list[InvalidField]) -> JSONResponse:
    body = InvalidRequestBody(detail=fields, code=InvalidRequest.code)
    return JSONResponse(body.model_dump(), InvalidRequest.status)
