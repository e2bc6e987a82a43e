"""What can go wrong, each with its status and code, and the one JSON shape in which it is told."""

from collections.abc import Mapping, Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic_core import to_jsonable_python
from starlette.exceptions import HTTPException

RETRY_AFTER_SECONDS = 1
"""A sidecar finds its store again within a second of its return (recorded from Dapr)."""


class ServiceError(Exception):
    """Something the caller is told: `{"detail", "code"}` with the error's status. `detail` says what to do next."""

    status = 500
    code = "internal_error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class StoreUnavailable(ServiceError):
    """The sidecar or its store did not do what was asked, or did not answer: whether a write was done is unknown."""

    status = 503
    code = "store_unavailable"

    def __init__(
        self, detail: str = "The state store does not answer. Repeat the request: that is always safe."
    ) -> None:
        super().__init__(detail)


class StoreConflict(ServiceError):
    """Other writers changed the same document at every attempt, until the deadline."""

    status = 503
    code = "store_conflict"

    def __init__(self) -> None:
        super().__init__("Too many writers at once changed the same data. Repeat the request.")


class NotOwner(ServiceError):
    """The session belongs to the user whose turn came first."""

    status = 403
    code = "not_owner"

    def __init__(self) -> None:
        super().__init__("This session belongs to another user. Use a session of your own, or start a new one.")


class SessionDeleted(ServiceError):
    """The session was deleted and its tombstone still lives."""

    status = 410
    code = "session_deleted"

    def __init__(self) -> None:
        super().__init__("This session was deleted. Start a new one with another session_id.")


class SessionUnknown(ServiceError):
    """There is no such session."""

    status = 404
    code = "session_unknown"

    def __init__(self) -> None:
        super().__init__("There is no such session. Append a turn to begin it.")


class SummaryConflict(ServiceError):
    """The summary offered is of messages that were replaced, or covers less than the one kept."""

    status = 409
    code = "summary_conflict"


class HistoryReplaced(ServiceError):
    """A cursor points into a history that was replaced since."""

    status = 409
    code = "history_replaced"

    def __init__(self) -> None:
        super().__init__("The history was replaced since this cursor was given. Start again without `before`.")


class TooLarge(ServiceError):
    """The value would not fit into one request to Dapr."""

    status = 413
    code = "body_too_large"


class HistoryDamaged(ServiceError):
    """A page that the head names is not in the store: a fault, never told as an empty history."""

    status = 500
    code = "history_damaged"

    def __init__(self) -> None:
        super().__init__("A part of this history is missing in the store. Tell the operator; it was not changed.")


class Unauthorized(ServiceError):
    """The caller did not present the app's token."""

    status = 401
    code = "unauthorized"

    def __init__(self) -> None:
        super().__init__("Call this service through Dapr, or send APP_API_TOKEN in the header dapr-api-token.")


FRAMEWORK_ERRORS = {
    404: ("not_found", "There is no such path: see /docs for those there are."),
    405: ("method_not_allowed", "This path does not take that method: see /docs."),
    413: ("body_too_large", "A request may have 4 MiB. Send less at once."),
}
"""Code and detail of the errors that the framework raises."""


def response(error: ServiceError) -> JSONResponse:
    """The error as it is told: `{"detail", "code"}`, with Retry-After where repeating helps."""
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if error.status == 503 else None
    return JSONResponse({"detail": error.detail, "code": error.code}, error.status, headers)


def invalid(fields: Sequence[Mapping[str, object]]) -> JSONResponse:
    """A request that was not understood, with FastAPI's list of why."""
    return JSONResponse({"detail": to_jsonable_python(fields), "code": "invalid_request"}, 422)


def install(app: FastAPI) -> None:
    """Tell every error of the app in the one shape; `detail` of a 422 stays FastAPI's list."""

    @app.exception_handler(ServiceError)
    async def tell(_: Request, error: ServiceError) -> JSONResponse:
        return response(error)

    @app.exception_handler(HTTPException)
    async def tell_http(_: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 400:  # FastAPI's, for a body that is not even text
            return invalid([{"type": "json_invalid", "loc": ["body"], "msg": "The body is not JSON in UTF-8"}])
        code, detail = FRAMEWORK_ERRORS.get(error.status_code, ("error", error.detail))
        return JSONResponse({"detail": detail, "code": code}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def tell_invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        # The input is left out: it may be long, and it is what the caller already has.
        return invalid([{k: v for k, v in item.items() if k not in ("input", "ctx")} for item in error.errors()])

    @app.exception_handler(Exception)
    async def tell_fault(_: Request, error: Exception) -> JSONResponse:
        detail = "The service failed; the log says why. What was acknowledged is kept; repeat the request."
        return JSONResponse({"detail": detail, "code": "internal_error"}, 500)
