"""The errors of this service. A client gets one as `{"detail", "code"}` with the error's status."""

from collections.abc import Mapping
from types import MappingProxyType

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
RETRY_AFTER: Mapping[str, str] = MappingProxyType({"Retry-After": "1"})
"""Seconds to wait before a retry. A sidecar reaches its store again within a second of the store's return."""


class ServiceError(Exception):
    """The service failed; its log has the cause."""

    status = 500
    code = "internal_error"
    detail = (
        "The service failed. Nothing that was acknowledged is lost. Repeat the request; if it fails again, report it."
    )
    headers = NO_HEADERS

    def __init__(self, detail: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        """`detail` and `headers` replace the defaults of the class."""
        self.detail = self.detail if detail is None else detail
        self.headers = self.headers if headers is None else headers
        super().__init__(self.detail)


class InvalidRequest(ServiceError):
    """The request is not valid; `detail` lists the invalid fields."""

    status = 422
    code = "invalid_request"
    detail = "The request is not valid. Compare it with /docs."


class NotFound(ServiceError):
    """The path does not exist."""

    status = 404
    code = "not_found"
    detail = "There is no such path. See /docs for the paths."


class MethodNotAllowed(ServiceError):
    """The path does not support the method."""

    status = 405
    code = "method_not_allowed"
    detail = "This path does not support this method. See /docs for the methods."


class BodyTooLarge(ServiceError):
    """The request body, or the document made from it, is larger than Dapr accepts in one request."""

    status = 413
    code = "body_too_large"
    detail = "A request body may have at most 4 MiB. Send less at once."


class HistoryTooLarge(ServiceError):
    """The session cannot take an append or a summary: its head is then larger than Dapr accepts in one request.

    Only a history with messages of hundreds of kilobytes gets so large; the tutorial's code writes such ones.
    """

    status = 413
    code = "history_too_large"
    detail = (
        "The messages of this session are too long to add to them: the store accepts at most 4 MiB in one request. "
        "Read the session, then replace it with shorter messages or delete it; or start a new one."
    )


class BodyTooSlow(ServiceError):
    """The request body did not arrive in time."""

    status = 408
    code = "body_too_slow"
    detail = "The request body did not arrive in time. Repeat the request."
    headers = MappingProxyType({"Connection": "close"})


class Overloaded(ServiceError):
    """The service has as many long bodies or long responses under way as it may hold in memory."""

    status = 503
    code = "overloaded"
    detail = "The service transfers as much data as it can. Repeat the request in a second."
    headers = RETRY_AFTER


class Unauthorized(ServiceError):
    """The request does not carry the app's token."""

    status = 401
    code = "unauthorized"
    detail = "Call this service through Dapr, or send APP_API_TOKEN in the header dapr-api-token."


class NotOwner(ServiceError):
    """The session belongs to another user, the one whose turn came first; or to nobody, and an owner is required."""

    status = 403
    code = "not_owner"
    detail = "This session is not yours. Use one of your own sessions, or start a new one."


class SessionUnknown(ServiceError):
    """The session does not exist."""

    status = 404
    code = "session_unknown"
    detail = "This session does not exist. Append a turn to start it."


class SessionDeleted(ServiceError):
    """The session was deleted, and its tombstone has not expired yet."""

    status = 410
    code = "session_deleted"
    detail = "This session was deleted. Start a new one with another session_id."


class SummaryConflict(ServiceError):
    """The summary does not follow the stored one.

    It is about messages that were replaced, covers fewer messages, or was made from a summary that was changed since.
    """

    status = 409
    code = "summary_conflict"
    detail = "This summary does not fit the session. Read the session again and write a new summary."


class TooManyFacts(ServiceError):
    """The user has as many facts as are kept."""

    status = 409
    code = "too_many_facts"
    detail = "A user can have 100 facts. Forget one that is no longer needed, or correct one, then send this one again."


class FactUnknown(ServiceError):
    """The user has no fact with this id."""

    status = 404
    code = "fact_unknown"
    detail = "There is no such fact. Read the facts again; to add one, use POST."


class StaleCursor(ServiceError):
    """The cursor `before` points into data that was replaced after the cursor was issued."""

    status = 409
    code = "history_replaced"
    detail = "The data was replaced after this cursor was issued. Read again from the start, without `before`."


class HistoryDamaged(ServiceError):
    """The head names a page that is missing in the store. This is a fault, never reported as an empty history."""

    status = 500
    code = "history_damaged"
    detail = "A part of this history is missing in the store. Report it to the operator. Nothing was changed."


class StoreUnavailable(ServiceError):
    """The sidecar or its store failed or did not respond. A write may or may not have been done."""

    status = 503
    code = "store_unavailable"
    detail = "The state store does not respond. Repeat the request; repeating is always safe."
    headers = RETRY_AFTER


class StoreUnsuitable(ServiceError):
    """The state store cannot keep a promise of this service. `detail` names the store, what it lacks, what to do."""

    status = 503
    code = "store_unsuitable"
    detail = "The state store cannot keep the promises of this service. Use another one; see docs/operations.md."
    headers = MappingProxyType({"Retry-After": "30"})


class StoreRefusesWrites(ServiceError):
    """The state store can be read, but it refuses every write: it is full or read-only."""

    status = 503
    code = "store_refuses_writes"
    detail = (
        "The state store can be read but refuses writes. It may be full or read-only. Free space: delete sessions or "
        "users, or give the store more."
    )
    headers = RETRY_AFTER


class StoreConflict(ServiceError):
    """Other writers changed the same document before each attempt, until the deadline."""

    status = 503
    code = "store_conflict"
    detail = "Too many writers changed the same data at once. Repeat the request."
    headers = RETRY_AFTER
