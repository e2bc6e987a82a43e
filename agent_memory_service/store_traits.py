"""How a store behaves where stores differ, and what a write looks like because of it. Pure: it calls nothing.

store_trial.py learns it from the store.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from pydantic_core import from_json, to_json

from documents import JSON, Document

UNKNOWN_ETAG = "2147483647"
"""An etag that no key ever has: where etags count the writes of a key, none reaches it."""
NO_TTL = "-1"
"""-1 clears any TTL; omitting it keeps the old one (Redis)."""


class Absent(Enum):
    """The type of ABSENT."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT
"""In place of an etag: write only if the key is missing."""

Etag: TypeAlias = str | Absent | None
"""The condition of a write: the key has this etag, or is missing (ABSENT). None: no condition, overwrite."""


class Creation(Enum):
    """How a key is created only if it is missing."""

    UNKNOWN_ETAG = "etag"
    """A save with UNKNOWN_ETAG: written if the key is missing, otherwise refused."""
    FIRST_WRITE = "first-write"
    """A save with the option `first-write`. Not used where UNKNOWN_ETAG works: on Redis it marks the key, and every
    later save without an etag fails."""


@dataclass(frozen=True, slots=True)
class StoreTraits:
    """What the service learned about its store. The defaults are those of Redis."""

    creation: Creation = Creation.UNKNOWN_ETAG
    exists_status: int = 409
    """Status of a creation that is refused because the key exists."""
    keeps_objects: bool = True
    """An object comes back as it was saved. Otherwise documents are saved as JSON text, as with encryption at rest."""

    def item(self, key: str, value: Document, etag: Etag = None, ttl: str | None = None) -> bytes:
        """Return one item of a save, as JSON. `ttl` is in seconds; None leaves it out."""
        item: Document = {"key": key, "value": value if self.keeps_objects else to_json(value).decode()}
        options: Document = {"consistency": "strong"}
        if ttl is not None:
            item["metadata"] = {"ttlInSeconds": ttl}
        if etag is not ABSENT:
            # The etag is checked without the option `first-write` too.
            item |= {} if etag is None else {"etag": etag}
        elif self.creation is Creation.FIRST_WRITE:
            options["concurrency"] = "first-write"
        else:
            item["etag"] = UNKNOWN_ETAG
        return to_json({**item, "options": options})


def parsed(value: JSON) -> JSON:
    """Return what a writer meant: a JSON text that was saved as a string is that JSON. Raises ValueError if it is none.

    Both forms may be in one store, and some stores return either as the other.
    """
    while isinstance(value, str):
        value = from_json(value)
    return value
