"""What one kind of store does with one operation on one key."""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime
from json import dumps
from typing import ClassVar

from local_sidecar.state.encodings import Encoding
from local_sidecar.state.operations import Operation, Refused

INT64 = range(-(2**63), 2**63)
_INT64_MAX_CHARS = 40
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True, slots=True)
class Item:
    """A key and its value in the store.

    `expires` is a Unix time, None for never. `needs_etag`: Redis only; a save without an etag is refused.
    """

    key: str
    value: bytes
    etag: str
    expires: float | None = None
    needs_etag: bool = False

    def is_live(self, now: float) -> bool:
        """Whether it has not expired. An expired item stays in the store until the next cleanup."""
        return self.expires is None or self.expires > now


@dataclass(frozen=True)
class Dialect(ABC):
    """The behaviour of one kind of store behind Dapr's state API. It decides from data and does no I/O."""

    encoding: Encoding
    """How it writes values. Dapr's encryption replaces it."""
    name: ClassVar[str]
    capabilities: ClassVar[tuple[str, ...]] = ("ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE", "ACTOR")
    """As `GET /v1.0/metadata` names them."""
    shows_expiry: ClassVar[bool] = True
    """Whether reads name the time at which the item expires."""
    rolls_back: ClassVar[bool] = True
    """Whether a refused operation undoes the whole transaction."""
    bulk_reads_each_key: ClassVar[bool] = False
    """Whether a bulk read reads key by key: in the order asked, and a failure is reported for its key only.

    Otherwise it is one query: the keys that exist come first, each once, and a failure is that of the whole read.
    """
    in_file: ClassVar[bool] = True
    """Whether the state outlives the process."""
    common_table: ClassVar[str] = ""
    """The table of all stores of this kind that are not encrypted, empty when each store has a table of its own."""
    cleanup_seconds: ClassVar[float] = 3600
    """Time between two removals of expired items. One hour, as in Dapr's SQL stores."""
    folds_keys: ClassVar[bool] = False
    """Whether keys are compared by their `folded` form."""

    @abstractmethod
    def check(self, operation: Operation) -> None:
        """Raise Refused for an operation that is wrong whatever the store holds."""

    @abstractmethod
    def apply(self, found: Item | None, operation: Operation, now: float) -> Item | None:
        """The item that the key has after an operation, None for no item. `found` may have expired.

        Raises Refused when the operation is not carried out.
        """

    def shown_expiry(self, item: Item) -> str:
        """The time that reads name as the item's end, empty for none."""
        if not self.shows_expiry or item.expires is None:
            return ""
        return datetime.fromtimestamp(item.expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def folded(self, key: str) -> str:
        """The form of a key by which it is compared with others."""
        return key

    def failure(self, operation: Operation, why: str) -> Refused:
        """How an operation is refused when the store cannot be written."""
        del operation
        return Refused(500, why)


def parse_whole_number(text: str, status: int, prefix: str) -> int:
    """A number as Go reads it. Raises Refused with the status, and a text that begins with the prefix."""
    if not _WHOLE_NUMBER.fullmatch(text):
        raise Refused(status, f"{prefix}: parsing {dumps(text)}: invalid syntax")
    if len(text) > _INT64_MAX_CHARS or int(text) not in INT64:
        raise Refused(status, f"{prefix}: parsing {dumps(text)}: value out of range")
    return int(text)
