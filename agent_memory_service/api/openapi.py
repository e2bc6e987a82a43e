"""What the OpenAPI description says about the responses of a route."""

from collections import defaultdict
from typing import Any

from errors import (
    HistoryDamaged,
    InvalidRequest,
    ServiceError,
    StoreConflict,
    StoreRefusesWrites,
    StoreUnavailable,
    StoreUnsuitable,
    Unauthorized,
)
from models import AppendedTurn, ErrorBody, Fact

Responses = dict[int | str, dict[str, Any]]
"""FastAPI's own type of `responses=`."""

COMMON_ERRORS = (
    Unauthorized,
    InvalidRequest,
    ServiceError,
    HistoryDamaged,
    StoreUnavailable,
    StoreConflict,
    StoreRefusesWrites,
    StoreUnsuitable,
)
"""The errors of every route that uses the store."""

REPLAYED_TURN: Responses = {
    200: {
        "model": AppendedTurn,
        "description": "The turn was stored before",
        "headers": {"Idempotent-Replayed": {"schema": {"type": "string"}, "description": "`true`"}},
    }
}
"""The second success of an append, beside 201."""

KNOWN_FACT: Responses = {200: {"model": Fact, "description": "The text was stored before"}}
"""The second success of a new fact, beside 201."""


def error_responses(*errors: type[ServiceError]) -> Responses:
    """Describe the errors of a route: for each status, the codes and when they happen."""
    by_status: defaultdict[int, list[str]] = defaultdict(list)
    for error in errors:
        by_status[error.status].append(f"`{error.code}`: {error.__doc__}")
    return {status: {"model": ErrorBody, "description": " ".join(by_status[status])} for status in sorted(by_status)}
