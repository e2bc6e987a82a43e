"""`state.postgresql`, version v2: `first-write` on a key that exists is 500, all else as in the other SQL stores."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from local_sidecar.state.dialects.base import Item
from local_sidecar.state.dialects.random_etags import RandomEtags
from local_sidecar.state.operations import EtagMismatch, Operation, Refused


@dataclass(frozen=True)
class PostgreSQL(RandomEtags):
    """Dapr's PostgreSQL component of version v2 (recorded with PostgreSQL 15)."""

    name: ClassVar[str] = "postgresql"

    def check_etag(self, item: Item | None, operation: Operation) -> None:
        """Etags are compared as UUIDs, whatever their spelling."""
        try:
            stated = UUID(operation.etag)
        except ValueError:
            raise EtagMismatch(f"invalid UUID length: {len(operation.etag)}") from None
        if item is None or stated != UUID(item.etag):
            raise EtagMismatch

    def already_exists(self) -> Refused:
        """500, which a client can only tell from a failure by reading the key."""
        return Refused(500, "no item was updated")
