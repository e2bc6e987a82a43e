"""Every error as one JSON shape, `{"detail", "code"}`. In a 422 `detail` is FastAPI's list."""

from collections.abc import Mapping, Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic_core import to_jsonable_python
from starlette.exceptions import HTTPException

from errors import BodyTooLarge, InvalidRequest, MethodNotAllowed, NotFound, ServiceError

_FRAMEWORK_ERRORS: dict[int, type[ServiceError]] = {
    error.status: error for error in (NotFound, MethodNotAllowed, BodyTooLarge)
}
"""The errors that Starlette raises as HTTPException, by status."""
_NOT_SENT_BACK = {"input", "ctx"}
"""Parts of a validation error that are left out: the client has the input, and it may be long."""


def error_response(error: ServiceError) -> JSONResponse:
    """Return the response of an error."""
    return JSONResponse({"detail": error.detail, "code": error.code}, error.status, error.headers)


def add_error_handlers(app: FastAPI) -> None:
    """Register the handlers of all errors."""

    @app.exception_handler(ServiceError)
    async def service_error(_: Request, error: ServiceError) -> JSONResponse:
        return error_response(error)

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 400:  # FastAPI raises it for a body that is not UTF-8
            return _invalid_request([{"type": "json_invalid", "loc": ["body"], "msg": "The body is not JSON in UTF-8"}])
        if error.status_code in _FRAMEWORK_ERRORS:
            return error_response(_FRAMEWORK_ERRORS[error.status_code](headers=error.headers))
        return JSONResponse({"detail": error.detail, "code": "error"}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def validation_error(_: Request, error: RequestValidationError) -> JSONResponse:
        return _invalid_request(
            [{name: value for name, value in item.items() if name not in _NOT_SENT_BACK} for item in error.errors()]
        )

    @app.exception_handler(Exception)
    async def internal_error(_: Request, error: Exception) -> JSONResponse:
        return error_response(ServiceError())


def _invalid_request(fields: Sequence[Mapping[str, object]]) -> JSONResponse:
    body = {"detail": to_jsonable_python(fields), "code": InvalidRequest.code}
    return JSONResponse(body, InvalidRequest.status)
