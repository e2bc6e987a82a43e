"""What all stores but Redis have in common: each write gets a random etag, and an etag must be that of a live item."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import uuid4

from local_sidecar.state.dialects.base import Dialect, Item, parse_whole_number
from local_sidecar.state.encodings import GO_JSON, Encoding
from local_sidecar.state.operations import FIRST_WRITE, EtagMismatch, Operation, Refused

TTL_LIMIT_SECONDS = 2**31 - 1
"""Limit on a TTL, in Dapr's SQL stores: the largest 32-bit number, 68 years."""


@dataclass(frozen=True)
class RandomEtags(Dialect):
    """A store that gives each write a random UUID as its etag. A save without a TTL removes the key's TTL."""

    encoding: Encoding = GO_JSON
    checks_options_of_deletions: ClassVar[bool] = False
    """Whether a deletion with unknown options is refused."""
    deletions_see_expired: ClassVar[bool] = True
    """Whether a deletion compares its etag with an expired item that is not cleaned up yet."""

    def check(self, operation: Operation) -> None:
        """Refuse unknown options and a TTL that is not -1 or greater."""
        if operation.value is None:
            if self.checks_options_of_deletions:
                operation.check_options()
            return
        operation.check_options()
        self.ttl(operation)

    def apply(self, found: Item | None, operation: Operation, now: float) -> Item | None:
        """A save with an etag replaces the live item of that etag. `first-write` without one creates the key."""
        live = found if found and found.is_live(now) else None
        if operation.value is None:
            self.check_deletion(found if self.deletions_see_expired else live, operation)
            return None
        key = operation.key
        if operation.etag:
            self.check_etag(live, operation)
            key = live.key if live else key
        elif operation.concurrency == FIRST_WRITE:
            self.check_creation(found, operation, now)
        ttl = self.ttl(operation)
        return Item(key, operation.value, str(uuid4()), now + ttl if ttl > 0 else None)

    def check_deletion(self, found: Item | None, operation: Operation) -> None:
        """Raise Refused for a deletion whose etag is not the item's."""
        if operation.etag:
            self.check_etag(found, operation)

    def check_etag(self, item: Item | None, operation: Operation) -> None:
        """Raise Refused when the item does not have the operation's etag."""
        if item is None or item.etag != operation.etag:
            raise EtagMismatch

    def check_creation(self, found: Item | None, operation: Operation, now: float) -> None:
        """Raise Refused when `first-write` finds a live item."""
        if found and found.is_live(now):
            raise self.already_exists()

    def already_exists(self) -> Refused:
        """How `first-write` is refused on a key that exists."""
        return EtagMismatch()

    def ttl(self, operation: Operation) -> int:
        """Seconds until a save expires, -1 or 0 for never. Raises Refused."""
        if not operation.ttl:
            return -1
        prefix = "error parsing TTL: incorrect value for metadata 'ttlInSeconds'"
        seconds = parse_whole_number(operation.ttl, 500, f"{prefix}: strconv.ParseInt")
        if not -1 <= seconds <= TTL_LIMIT_SECONDS:
            raise Refused(500, f"{prefix}: must be -1 or greater")
        return seconds
