"""The stores of one state file: what they share, what they keep apart, and what happens at once."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from local_sidecar.components import Component
from local_sidecar.state.bulk import bulk_body
from local_sidecar.state.dialects import DIALECTS
from local_sidecar.state.encodings import GO_PRINT
from local_sidecar.state.operations import FIRST_WRITE, Operation
from local_sidecar.state.store import Store, StoreError
from local_sidecar.state_components import StateComponent

EARLIER_SCHEMA = """
CREATE TABLE state (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL, marked INTEGER NOT NULL, expires REAL);
"""
Open = Callable[..., Store]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    """Opens a store of a kind, by default in the same file as the others; all are closed with the test."""
    stores: list[Store] = []

    def open_store(kind: str, version: str = "v1", *, name: str = "statestore", encrypted: bool = False) -> Store:
        dialect = DIALECTS[kind, version]
        dialect = replace(dialect, encoding=GO_PRINT) if encrypted else dialect
        component = Component(name, kind, version, "", (), "")
        table = StateComponent(component, dialect, encrypted).table(tmp_path / "state.db")
        stores.append(Store(table, dialect))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


def save(key: str, value: bytes = b"1", etag: str = "", concurrency: str = "", ttl: str = "") -> Operation:
    """A save of a key."""
    return Operation(key, value, etag, concurrency, ttl=ttl)


def bulk(store: Store, *keys: str) -> bytes:
    """The body of a bulk read."""
    return bulk_body(store, list(keys), str)


async def test_state_file_of_an_earlier_version(opened: Open, tmp_path: Path) -> None:
    """A Redis store reads what an earlier version wrote, and writes what that version can read."""
    with sqlite3.connect(tmp_path / "state.db") as earlier:
        earlier.executescript(EARLIER_SCHEMA)
        earlier.execute("INSERT INTO state VALUES ('app||a', x'31', 7, 0, NULL)")
    store = opened("state.redis", name="any")
    found = store.read("app||a")
    assert found is not None
    assert (found.value, found.etag) == (b"1", "7")
    assert await store.write([save("app||a", b"2", etag="7")]) == []
    with sqlite3.connect(tmp_path / "state.db") as earlier:
        assert earlier.execute("SELECT value, version, typeof(version) FROM state").fetchall() == [(b"2", 8, "integer")]


async def test_kinds_and_names_of_stores_are_kept_apart(opened: Open) -> None:
    """A store sees only what stores of its kind and name have written, also with and without encryption."""
    stores = [
        opened("state.redis"),
        opened("state.redis", encrypted=True),
        opened("state.postgresql", "v2"),
        opened("state.postgresql", "v2", encrypted=True),
        opened("state.postgresql", "v2", name="other"),
        opened("state.sqlite"),
        opened("state.mysql"),
    ]
    for number, store in enumerate(stores):
        await store.write([save("a", str(number).encode())])
    found = [store.read("a") for store in [*stores, opened("state.postgres", "v2")]]
    assert [item.value for item in found if item] == [b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"2"]


async def test_in_memory_state_ends_with_its_store(opened: Open, tmp_path: Path) -> None:
    """A store in memory writes no file, and one opened later begins empty."""
    store = opened("state.in-memory")
    await store.write([save("a")])
    assert store.read("a") is not None
    store.close()
    assert opened("state.in-memory").read("a") is None
    assert not (tmp_path / "state.db").exists()


@pytest.mark.parametrize(
    ("kind", "version", "refused"),
    [
        ("state.postgresql", "v2", 500),
        ("state.sqlite", "v1", 409),
        ("state.in-memory", "v1", 409),
        ("state.mysql", "v1", 409),
    ],
)
async def test_one_of_many_writers_wins(opened: Open, kind: str, version: str, refused: int) -> None:
    """Of sixteen that create a key by `first-write`, or save it with one etag, exactly one succeeds."""
    store = opened(kind, version)
    assert await statuses(store, [save("a", concurrency=FIRST_WRITE)] * 16) == {0: 1, refused: 15}
    found = store.read("a")
    assert found is not None
    assert await statuses(store, [save("a", etag=found.etag)] * 16) == {0: 1, 409: 15}


async def test_refused_transaction_leaves_other_requests_alone(opened: Open) -> None:
    """A transaction that is rolled back does not undo what others write at the same moment."""
    store = opened("state.postgresql", "v2")
    transaction = [
        Operation("b", b"1", transactional=True),
        Operation("c", b"1", etag="7", transactional=True),
    ]
    results = await asyncio.gather(store.write([save("a")]), store.write(transaction), store.write([save("d")]))
    assert [len(refusals) for refusals in results] == [0, 1, 0]
    assert [store.read(key) is not None for key in "abcd"] == [True, False, False, True]


@pytest.mark.parametrize(("kind", "version"), [("state.postgresql", "v2"), ("state.sqlite", "v1")])
async def test_bulk_read_of_the_sql_stores(opened: Open, kind: str, version: str) -> None:
    """Keys that exist come first, each once; a key that is asked for twice leaves an entry without a key."""
    store = opened(kind, version)
    await store.write([save("b"), save("a")])
    etag = {key: found.etag for key in "ab" if (found := store.read(key))}
    existing = "".join(f'{{"key":"{key}","data":1,"etag":"{etag[key]}"}},' for key in "ab")
    assert bulk(store, "z", "b", "a", "b").decode() == f'[{existing}{{"key":"z"}},{{"key":""}}]\n'


async def test_bulk_read_of_redis(opened: Open) -> None:
    """Keys come in the order asked, as often as asked."""
    store = opened("state.redis")
    await store.write([save("a")])
    existing = '{"key":"a","data":1,"etag":"1"}'
    assert bulk(store, "z", "a", "a").decode() == f'[{{"key":"z"}},{existing},{existing}]\n'


async def test_bulk_read_of_mysql_shows_the_stored_spelling(opened: Open) -> None:
    """A key in another spelling is found, unless a key without a row is among those asked for."""
    store = opened("state.mysql")
    await store.write([save("Alice")])
    assert b'"key":"Alice"' in bulk(store, "ALICE")
    with pytest.raises(StoreError, match="more records than expected"):
        bulk(store, "ALICE", "alice")


async def test_bulk_read_of_encrypted_text_is_empty(opened: Open) -> None:
    """One value that is no JSON empties the whole response. An empty value looks like none."""
    store = opened("state.redis", encrypted=True)
    await store.write([save("a", b'{"b": 1}'), save("b", b"map[b:1]"), save("c", b"")])
    assert bulk(store, "a", "c") == b'[{"key":"a","data":{"b":1},"etag":"1"},{"key":"c","etag":"1"}]\n'
    assert bulk(store, "a", "b") == b""


async def test_sql_stores_name_the_expiry(opened: Open) -> None:
    """Reads of all stores but Redis say when an item expires."""
    for kind, version, shown in (("state.sqlite", "v1", True), ("state.redis", "v1", False)):
        store = opened(kind, version)
        await store.write([save("a", ttl="60")])
        assert (b'"metadata":{"ttlExpireTime":"20' in bulk(store, "a")) == shown


async def statuses(store: Store, operations: list[Operation]) -> dict[int, int]:
    """How often each status comes of requests made at once, 0 for success."""
    results = await asyncio.gather(*(store.write([operation]) for operation in operations))
    return Counter(refusals[0].status if refusals else 0 for refusals in results)
