"""What the OpenAPI description says about the responses of a route."""

from collections import defaultdict
from enum import StrEnum
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


class Group(StrEnum):
    """The groups of routes."""

    USERS = "Users"
    FACTS = "Facts"
    SESSIONS = "Sessions"
    SERVICE = "Service"


GROUPS = [
    {"name": Group.USERS, "description": "Profiles, and everything that is stored of a user: export and erase."},
    {"name": Group.FACTS, "description": "Short sentences about a user that outlive a session."},
    {"name": Group.SESSIONS, "description": "Conversations: read in parts, appended once, deleted."},
    {"name": Group.SERVICE, "description": "Whether the service works."},
]
"""What the description says about each group, in this order."""

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
