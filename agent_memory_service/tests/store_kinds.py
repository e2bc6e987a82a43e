"""The kinds of stores behind Dapr's state API, and what each does with etags, first-writes, TTLs, values and keys.

Each difference was recorded from a Dapr 1.18 sidecar over that store.
"""

import unicodedata
from dataclasses import dataclass, replace

from tests.fake_wire import JSON, encoded


@dataclass(frozen=True)
class StoreKind:
    """What differs between stores. The defaults are those of a store with uuids as etags.

    With `counts_writes` an etag is the number of writes of its key, a key that is missing accepts any etag, a
    first-write marks the key, and a TTL is a command of its own behind the write. The last fields are what the service
    refuses.
    """

    name: str
    component: str
    counts_writes: bool = False
    exists_status: int = 409
    """Status of a first-write on a key that exists."""
    encrypted: bool = False
    """Dapr encrypts the values. It turns an object into a text that is not JSON; a text is stored as it is."""
    nul_in_objects: bool = True
    folds_keys: bool = False
    longest_key_chars: int | None = None
    has_etags: bool = True
    checks_etags: bool = True
    creates: bool = True
    forever_is_past: bool = False
    """TTL -1 is a time in the past: the key is gone at once."""
    deletes: bool = True

    def __str__(self) -> str:
        return self.name

    def key(self, key: str) -> str:
        """The row of a key."""
        if not self.folds_keys:
            return key
        base = "".join(char for char in unicodedata.normalize("NFD", key) if not unicodedata.combining(char))
        return base.casefold().rstrip(" ")

    def stored(self, value: JSON) -> str:
        """The body of a read of this value."""
        if not self.encrypted:
            return encoded(value)
        return value if isinstance(value, str) else go_text(value)

    def write_refused(self, etag: str, version: str | None, *, marked: bool, first_write: bool) -> int | None:
        """The status of a write that is refused, None if it is accepted.

        `version` is the etag that the key has (None: it is missing). `marked` is Dapr's mark of a first-write.
        """
        if self.counts_writes:
            return _counted_write_refused(etag, version, marked)
        if etag:
            return 409 if self.checks_etags and etag != version else None
        if first_write and version is not None and self.creates:
            return self.exists_status
        return None

    def delete_refused(self, etag: str, version: str | None) -> bool:
        """Whether a delete with If-Match is refused."""
        if self.counts_writes:
            return version is not None and etag != version
        return self.checks_etags and etag != version


def _counted_write_refused(etag: str, version: str | None, marked: bool) -> int | None:
    etag = etag or "0"
    if not etag.isdigit():
        return 400
    if version is None or etag == version or (etag == "0" and not marked):
        return None
    return 500 if etag == "0" else 409


def go_text(value: JSON) -> str:
    """A value as Go prints it: what Dapr encrypts in place of an object."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{go_text(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(go_text, value))}]"
    if value is None:
        return "<nil>"
    return value if isinstance(value, str) else encoded(value)


REDIS = StoreKind("redis", "state.redis", counts_writes=True)
POSTGRESQL = StoreKind("postgresql", "state.postgresql", exists_status=500)
SQLITE = StoreKind("sqlite", "state.sqlite")
REDIS_ENCRYPTED = replace(REDIS, name="redis-encrypted", encrypted=True)
POSTGRESQL_ENCRYPTED = replace(POSTGRESQL, name="postgresql-encrypted", encrypted=True)
MYSQL = StoreKind("mysql", "state.mysql", folds_keys=True, longest_key_chars=255)

ALL_KINDS = (REDIS, POSTGRESQL, SQLITE, REDIS_ENCRYPTED, POSTGRESQL_ENCRYPTED)
"""Every kind that the service accepts."""
