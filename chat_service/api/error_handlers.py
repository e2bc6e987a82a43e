"""Every error as one JSON shape, `{"detail", "code"}`; for an invalid request `detail` stays FastAPI's list."""

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from errors import ServiceError, internal
from models import ErrorBody, InvalidField, InvalidRequestBody

_CODES = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}
_DETAILS = {
    404: "There is no such path: see /docs for those there are.",
    405: "This path does not take that method: see /docs.",
    413: "The body is too large: send at most 1 MiB.",
}


def add_error_handlers(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _internal_error)


def error_body(error: ServiceError) -> ErrorBody:
    """What a client is told."""
    return ErrorBody(detail=error.detail, code=error.code)


async def _service_error(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, ServiceError):
        raise error
    headers = {} if error.retry_after_seconds is None else {"Retry-After": str(error.retry_after_seconds)}
    return JSONResponse(error_body(error).model_dump(), error.status, headers)


async def _invalid_request(_request: Request, error: Exception) -> JSONResponse:
    """The input is not sent back: it may be long, and need not be valid Unicode."""
    if not isinstance(error, RequestValidationError):
        raise error
    fields = [InvalidField(loc=list(it["loc"]), msg=it["msg"], type=it["type"]) for it in error.errors()]
    return _invalid(fields)


def _invalid(fields: list[InvalidField]) -> JSONResponse:
    return JSONResponse(InvalidRequestBody(detail=fields, code="invalid_request").model_dump(), 422)


async def _http_error(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    status = error.status_code
    if status == 400:  # FastAPI's, for a body that is not even text
        field = InvalidField(loc=["body"], msg="The body is not JSON in UTF-8", type="json_invalid")
        return _invalid([field])
    detail = _DETAILS.get(status, str(error.detail))
    code = _CODES.get(status, HTTPStatus(status).phrase.lower().replace(" ", "_"))
    return JSONResponse(ErrorBody(detail=detail, code=code).model_dump(), status, error.headers)


async def _internal_error(_request: Request, _error: Exception) -> JSONResponse:
    error = internal()
    return JSONResponse(error_body(error).model_dump(), error.status)
