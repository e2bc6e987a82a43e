"""Bulk reads: the values of several keys in one JSON array."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from local_sidecar.state.dialects.base import Item
from local_sidecar.state.encodings import REDIS_JSON
from local_sidecar.state.store import Store, StoreError


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of the array. `item` is None for a key that does not exist."""

    key: str
    item: Item | None = None
    error: str = ""


def bulk_body(store: Store, keys: list[str], requested_key: Callable[[str], str]) -> bytes:
    """The body of a bulk read. `requested_key` gives the key to show for a stored one.

    It is empty when a value is not JSON: Dapr's encoder then writes nothing. Raises StoreError.
    """
    entries = _key_by_key(store, keys) if store.dialect.bulk_reads_each_key else _in_one_query(store, keys)
    try:
        return b"[" + b",".join(_encoded(store, entry, requested_key(entry.key)) for entry in entries) + b"]\n"
    except ValueError:
        return b""


def _key_by_key(store: Store, keys: list[str]) -> Iterator[_Entry]:
    for key in keys:
        try:
            yield _Entry(key, store.read(key))
        except StoreError as error:
            yield _Entry(key, error=str(error))


def _in_one_query(store: Store, keys: list[str]) -> list[_Entry]:
    """The rows that match, in the order of their keys, and then the keys without a row of exactly that key.

    A key that is asked for twice leaves an entry without a key at the end.
    """
    rows = {item.key: item for key in keys if (item := store.read(key))}
    entries = [_Entry(key, rows[key]) for key in sorted(rows)]
    if len(rows) < len(keys):
        entries += [_Entry(key) for key in keys if key not in rows]
    if len(entries) > len(keys):  # the rows have other spellings of the keys (MySQL)
        raise StoreError(f"query returned more records than expected (expected {len(keys)})")
    return entries + [_Entry("")] * (len(keys) - len(entries))


def _encoded(store: Store, entry: _Entry, key: str) -> bytes:
    fields = b'{"key":' + _text(key)
    if entry.error:
        fields += b',"error":' + _text(entry.error)
    if entry.item:
        if entry.item.value:
            fields += b',"data":' + store.dialect.encoding.embed(entry.item.value)
        fields += b',"etag":' + _text(entry.item.etag)
        if expiry := store.dialect.shown_expiry(entry.item):
            fields += b',"metadata":{"ttlExpireTime":' + _text(expiry) + b"}"
    return fields + b"}"


def _text(text: str) -> bytes:
    return REDIS_JSON.embed(json.dumps(text, ensure_ascii=False).encode())
