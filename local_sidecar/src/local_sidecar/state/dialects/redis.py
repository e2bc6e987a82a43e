"""`state.redis`: etags count the writes of a key, and an etag on a key that does not exist is ignored."""

from dataclasses import dataclass
from typing import ClassVar

from local_sidecar.state.dialects.base import Dialect, Item, parse_whole_number
from local_sidecar.state.encodings import REDIS_JSON, Encoding
from local_sidecar.state.operations import FIRST_WRITE, LAST_WRITE, EtagMismatch, Operation, Refused

NO_ETAG = 0
"""This etag means none."""


@dataclass(frozen=True)
class Redis(Dialect):
    """Dapr's Redis component (recorded with Redis 7.0).

    With Redis itself, a value and its TTL are set by two commands, so that another write can come between them, and
    the second can be lost. Here they are one step.
    """

    name: ClassVar[str] = "redis"
    encoding: Encoding = REDIS_JSON
    shows_expiry: ClassVar[bool] = False
    rolls_back: ClassVar[bool] = False
    bulk_reads_each_key: ClassVar[bool] = True
    common_table: ClassVar[str] = "state"
    """The only table in files of earlier versions."""
    cleanup_seconds: ClassVar[float] = 60
    """Redis itself removes expired keys at once. Here they are invisible at once and removed within a minute."""

    def check(self, operation: Operation) -> None:
        """Refuse unknown options (not in a transaction), an etag or a TTL that is not a number."""
        if not operation.transactional:
            operation.check_options()
        if operation.value is not None:
            _stated_version(operation)
            _ttl(operation)

    def apply(self, found: Item | None, operation: Operation, now: float) -> Item | None:
        """A save states the version it replaces. `first-write` marks the key: it then needs an etag for ever."""
        live = found if found and found.is_live(now) else None
        version = int(live.etag) if live else 0
        if operation.value is None:
            if live and operation.etag not in ("", str(NO_ETAG), live.etag):
                raise self.failure(operation, f"failed to delete {operation.key}")
            return None
        stated = _stated_version(operation)
        if live and stated != version and (live.needs_etag or stated != NO_ETAG):
            raise self.failure(operation, f"failed to set key {operation.key}")
        ttl = _ttl(operation)
        expires = live.expires if live else None
        if ttl is not None:
            expires = now + ttl if ttl > 0 else None
        marks = operation.concurrency == FIRST_WRITE and not operation.transactional
        needs_etag = marks or bool(live and live.needs_etag)
        return Item(operation.key, operation.value, str(version + 1), expires, needs_etag)

    def failure(self, operation: Operation, why: str) -> Refused:
        """Outside a transaction, Dapr takes every failure of a deletion or of a save with an etag for a mismatch."""
        if operation.transactional:
            return Refused(500, why)
        if operation.etag or operation.value is None:
            return EtagMismatch(why)
        return Refused(500, f"failed to set key {operation.key}: {why}")


def _stated_version(operation: Operation) -> int:
    if operation.concurrency == LAST_WRITE or not operation.etag:
        return NO_ETAG
    return parse_whole_number(operation.etag, 400, "invalid etag value: strconv.Atoi")


def _ttl(operation: Operation) -> int | None:
    if not operation.ttl:
        return None
    return parse_whole_number(operation.ttl, 500, "failed to parse ttl from metadata: strconv.ParseInt")
