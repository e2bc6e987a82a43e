"""The errors of this service: each carries its HTTP status, its code, and a sentence that says what to do next."""


class ServiceError(Exception):
    """An error that a client is told, as `{"detail", "code"}`."""

    def __init__(self, status: int, code: str, detail: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds


class ModelFailure(ServiceError):
    """The model gave no reply."""


class MemoryFailure(Exception):
    """The memory service, or the way to it, failed. Whether the call was carried out is not known."""

    def __init__(self, code: str = "memory_unavailable") -> None:
        super().__init__(code)
        self.code = code


class MemoryRefusal(MemoryFailure):
    """The memory service understood the call and refused it (4xx): repeating it does not help."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status


def key_reused() -> ServiceError:
    """The Idempotency-Key belongs to a turn with another text."""
    return ServiceError(
        422,
        "idempotency_key_reused",
        "This Idempotency-Key was used with another text: send a new key with a new message.",
    )


def not_owner() -> ServiceError:
    """The session is another user's."""
    return ServiceError(
        403, "not_owner", "This session belongs to another user: leave out session_id to begin your own."
    )


def session_deleted() -> ServiceError:
    """The session was deleted and cannot be written to for a while."""
    return ServiceError(410, "session_deleted", "This session was deleted: leave out session_id to begin a new one.")


def turn_too_slow() -> ServiceError:
    """The time for a whole turn ran out."""
    return ServiceError(504, "turn_timeout", "The turn took longer than it may: try again, or ask for less at once.")


def stopped() -> ServiceError:
    """The service stops, and the turn with it."""
    return ServiceError(503, "stopping", "The service is being restarted: send the message again.", 5)


def internal() -> ServiceError:
    """A fault of this service's own."""
    return ServiceError(500, "internal_error", "Something went wrong in the service: try again, or tell its operator.")
