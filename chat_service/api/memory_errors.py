"""What a client gets if a call to the memory service fails on which its whole request rests."""

from collections.abc import Iterator
from contextlib import contextmanager

from errors import (
    FactUnknown,
    HistoryReplaced,
    HistoryTooLarge,
    MemoryFailure,
    MemoryRejection,
    MemoryUnavailable,
    NotOwner,
    ServiceError,
    SessionDeleted,
    SummaryConflict,
    TooManyFacts,
)

_REJECTIONS: dict[str, type[ServiceError]] = {
    error.code: error
    for error in (
        FactUnknown,
        HistoryReplaced,
        HistoryTooLarge,
        NotOwner,
        SessionDeleted,
        SummaryConflict,
        TooManyFacts,
    )
}
"""Rejections that say what the client did, by code: both services have the same codes."""


@contextmanager
def reported_failures() -> Iterator[None]:
    """Within this context a failed call to the memory service ends the request with an error of this service."""
    try:
        yield
    except MemoryRejection as rejection:
        error = _REJECTIONS.get(rejection.code)
        raise (MemoryUnavailable(rejection.code) if error is None else error()) from rejection
    except MemoryFailure as failure:
        raise MemoryUnavailable(failure.code) from failure
