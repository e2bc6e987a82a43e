"""The errors of this service. Each class states its HTTP status, its code, and a sentence that says what to do next."""

from collections.abc import Mapping


class ServiceError(Exception):
    """An error that the client receives as `{"detail", "code"}`."""

    status = 500
    code = "internal_error"
    detail = "The service failed: send the request again, or report it to the operator."
    headers: Mapping[str, str] = {}

    def __init__(self, detail: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{self.status} {self.code}")
        self.detail = self.detail if detail is None else detail
        self.headers = self.headers if headers is None else headers


class InternalError(ServiceError):
    """The service has a bug."""


class EmptyText(ServiceError):
    """The message has no text."""

    status = 400
    code = "empty_text"
    detail = "Message text cannot be empty"


class InvalidRequest(ServiceError):
    """The request is not valid; `detail` lists the invalid fields."""

    status = 422
    code = "invalid_request"
    detail = "The request is not valid: see /docs for its fields."


class PathNotFound(ServiceError):
    """The path does not exist."""

    status = 404
    code = "not_found"
    detail = "This path does not exist: see /docs for the paths that do."


class MethodNotAllowed(ServiceError):
    """The path exists, but not for this method."""

    status = 405
    code = "method_not_allowed"
    detail = "This path does not accept this method: see /docs."


class BodyTooLarge(ServiceError):
    """The request body is larger than 1 MiB."""

    status = 413
    code = "body_too_large"
    detail = "The request body is too large: send at most 1 MiB."
    headers: Mapping[str, str] = {"Connection": "close"}


class BodyTooSlow(ServiceError):
    """The request body did not arrive in time."""

    status = 408
    code = "body_too_slow"
    detail = "The request body did not arrive in time: send the request again."
    headers: Mapping[str, str] = {"Connection": "close"}


class Overloaded(ServiceError):
    """As many request bodies are arriving as the service may hold in memory."""

    status = 503
    code = "overloaded"
    detail = "The service receives as much data as it can: send the request again after the time in Retry-After."
    headers: Mapping[str, str] = {"Retry-After": "1", "Connection": "close"}


class TooManyTurns(ServiceError):
    """As many turns are running as MAX_RUNNING_TURNS allows."""

    status = 503
    code = "too_many_turns"
    detail = "The service runs as many turns as it can: send the message again after the time in Retry-After."
    headers: Mapping[str, str] = {"Retry-After": "5"}


class TooManyRequests(ServiceError):
    """As many requests wait for a reply, or as many streams are open, as the settings allow."""

    status = 503
    code = "too_many_requests"
    detail = "Too many requests wait for replies: send the message again after the time in Retry-After."
    headers: Mapping[str, str] = {"Retry-After": "5"}


class IdempotencyKeyReused(ServiceError):
    """The Idempotency-Key belongs to a turn with another text."""

    status = 422
    code = "idempotency_key_reused"
    detail = "This Idempotency-Key was used with another text: send a new key with a new message."


class CallbackNotAllowed(ServiceError):
    """The settings do not allow the host in `callback_url`."""

    status = 422
    code = "callback_not_allowed"
    detail = (
        "Callbacks are sent to allowed hosts only: leave out callback_url, or ask the operator to add its host "
        "(host:port if the port is not the default) to CALLBACK_ALLOWED_HOSTS."
    )


class TooManyCallbacks(ServiceError):
    """As many callbacks to the receiver are pending as the service keeps: the receiver is slow or does not respond."""

    status = 503
    code = "too_many_callbacks"
    detail = (
        "Too many callbacks to this receiver are pending: send the message again after the time in Retry-After, "
        "or without callback_url."
    )
    headers: Mapping[str, str] = {"Retry-After": "30"}


class NotOwner(ServiceError):
    """The session belongs to another user."""

    status = 403
    code = "not_owner"
    detail = "This session is not yours: leave out session_id to start your own."


class SessionDeleted(ServiceError):
    """The session was deleted; for about a day its id accepts no new turns."""

    status = 410
    code = "session_deleted"
    detail = "This session was deleted: leave out session_id to start a new one."


class HistoryReplaced(ServiceError):
    """The cursor `before` points into data that was replaced since."""

    status = 409
    code = "history_replaced"
    detail = "The data was replaced since this cursor was given: read again without `before`."


class TooManyFacts(ServiceError):
    """The user has as many facts as are kept."""

    status = 409
    code = "too_many_facts"
    detail = "A user can have 100 facts: remove one that is no longer needed, or correct one, then send this one again."


class FactUnknown(ServiceError):
    """The user has no fact with this id."""

    status = 404
    code = "fact_unknown"
    detail = "There is no such fact: read the facts again. To add one, use POST."


class SummaryUnknown(ServiceError):
    """The session has no summary."""

    status = 404
    code = "summary_unknown"
    detail = "This session has no summary yet: one is written when its messages no longer fit what the model gets."


class SummaryConflict(ServiceError):
    """The session's summary is another one than the client has read."""

    status = 409
    code = "summary_conflict"
    detail = "The summary was changed meanwhile: read it again, then send the request again."


class HistoryTooLarge(ServiceError):
    """The session's messages are so long that the store takes no summary beside them."""

    status = 413
    code = "history_too_large"
    detail = "The messages of this session are too long to add to them: start a new session, or delete this one."


class TurnTimeout(ServiceError):
    """The turn reached its time limit before there was a reply."""

    status = 504
    code = "turn_timeout"
    detail = "The turn took too long: try again, or ask for less at once."


class TurnNotRunning(ServiceError):
    """No turn with this Idempotency-Key is running in this process."""

    status = 404
    code = "turn_not_running"
    detail = "No such turn is running here: send the message again with the same Idempotency-Key to get its reply."


class TurnNotFound(ServiceError):
    """The turn to resume is neither running nor stored, for example because the service was restarted."""

    status = 404
    code = "turn_not_found"
    detail = "This turn is not running and not stored: send the message again without `resume` to run it."


class TurnNotKnown(ServiceError):
    """Whether the turn to resume is stored cannot be read now."""

    status = 503
    code = "turn_not_known"
    detail = "Memory does not respond, so it is not known whether this turn is stored: try again soon."
    headers: Mapping[str, str] = {"Retry-After": "2"}


class StoppedEmpty(ServiceError):
    """The turn was stopped before the model had said anything, so there is no reply and the turn is not saved."""

    status = 409
    code = "stopped_empty"
    detail = "The turn was stopped before the model said anything, and it is not saved: send the message again."


class TurnStopped(ServiceError):
    """The service is stopping: it cancelled the turn, or did not begin it."""

    status = 503
    code = "stopping"
    detail = "The service is restarting: send the message again, with the same Idempotency-Key if it had one."
    headers: Mapping[str, str] = {"Retry-After": "5"}


class MemoryNotReady(ServiceError):
    """The memory service cannot be reached or has no store. `code` is its error code where it gave one."""

    status = 503
    code = "memory_unavailable"
    detail = "The memory service is not ready: replies still work, but turns are not saved. Try again soon."
    headers: Mapping[str, str] = {"Retry-After": "1"}

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__()


class MemoryUnavailable(ServiceError):
    """The memory service or its store failed or did not respond. `code` is its error code where it gave one."""

    status = 503
    code = "memory_unavailable"
    detail = "The memory service or its store does not work now: send the request again. Repeating it is always safe."
    headers: Mapping[str, str] = {"Retry-After": "1"}

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__()


class EraseUnfinished(ServiceError):
    """The erase did not end in time. The memory service goes on with it."""

    status = 503
    code = "erase_unfinished"
    detail = "The erase is not finished yet. It goes on by itself: send the request again to see when it is done."
    headers: Mapping[str, str] = {"Retry-After": "5"}


class ModelFailure(ServiceError):
    """The model gave no reply. The subclasses in `llm/errors.py` say why."""

    status = 502


class MemoryFailure(Exception):
    """A call to the memory service failed. `had_no_effect`: it is certain that the service did not execute the call."""

    def __init__(self, code: str = "memory_unavailable", *, had_no_effect: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.had_no_effect = had_no_effect


class MemoryRejection(MemoryFailure):
    """The memory service itself rejected the call (4xx): a retry does not help."""

    def __init__(self, code: str) -> None:
        super().__init__(code, had_no_effect=True)
