"""The state components that are served. To add one, write its dialect and name it here."""

from local_sidecar.state.dialects.base import Dialect
from local_sidecar.state.dialects.in_memory import InMemory
from local_sidecar.state.dialects.mysql import MySQL
from local_sidecar.state.dialects.postgresql import PostgreSQL
from local_sidecar.state.dialects.redis import Redis
from local_sidecar.state.dialects.sqlite import SQLite

DIALECTS: dict[tuple[str, str], Dialect] = {
    ("state.redis", "v1"): Redis(),
    ("state.postgresql", "v2"): PostgreSQL(),
    ("state.postgres", "v2"): PostgreSQL(),
    ("state.sqlite", "v1"): SQLite(),
    ("state.in-memory", "v1"): InMemory(),
    ("state.mysql", "v1"): MySQL(),
}
"""Dialects by the type and version of a component. Dapr knows `state.postgres` as another name of the same store."""


def served_components() -> str:
    """The components that are served, for a text to a person."""
    return ", ".join(f"{kind} ({version})" for kind, version in DIALECTS)
