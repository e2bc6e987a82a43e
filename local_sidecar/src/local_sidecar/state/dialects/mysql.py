"""`state.mysql` on MariaDB's default collation: keys that differ in case, accents or blanks at the end are one key."""

import re
import unicodedata
from dataclasses import dataclass
from typing import ClassVar

from local_sidecar.state.dialects.base import Item
from local_sidecar.state.dialects.random_etags import RandomEtags
from local_sidecar.state.operations import EtagMismatch, Operation, Refused

KEY_LIMIT_CHARS = 255
"""Limit on a key with its app id: the size of the column."""

_NO_ROWS = "rows affected error: no rows match given key and eTag"
_SUPPLEMENTARY = re.compile("[\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class MySQL(RandomEtags):
    """Dapr's MySQL component (recorded with MariaDB 10.11). It is served so that its refusal can be tested."""

    name: ClassVar[str] = "mysql"
    folds_keys: ClassVar[bool] = True

    def folded(self, key: str) -> str:
        """The form by which `utf8mb4_general_ci` compares keys: no accents, one case, no blanks at the end.

        All characters outside the basic plane, emoji among them, are equal.
        """
        letters = (one for one in unicodedata.normalize("NFD", key) if not unicodedata.combining(one))
        return _SUPPLEMENTARY.sub("\ufffd", "".join(letters)).replace("ß", "s").upper().rstrip(" ")

    def apply(self, found: Item | None, operation: Operation, now: float) -> Item | None:
        """A key that is too long cannot be created."""
        creates = operation.value is not None and not operation.etag
        if creates and len(operation.key) > KEY_LIMIT_CHARS:
            raise Refused(500, "Error 1406 (22001): Data too long for column 'id' at row 1")
        return super().apply(found, operation, now)

    def check_etag(self, item: Item | None, operation: Operation) -> None:
        """Only the refusal of a save carries a reason."""
        if item is None or item.etag != operation.etag:
            raise EtagMismatch("" if operation.value is None else _NO_ROWS)

    def check_creation(self, found: Item | None, operation: Operation, now: float) -> None:
        """`first-write` on an expired item fails until the item is cleaned up."""
        super().check_creation(found, operation, now)
        if found:
            raise Refused(500, f"Error 1062 (23000): Duplicate entry '{operation.key}' for key 'PRIMARY'")

    def already_exists(self) -> Refused:
        """409 with a reason."""
        return EtagMismatch(_NO_ROWS)
