"""What each kind of store does with one operation (what the recordings do not show; tried on Dapr 1.18)."""

from collections.abc import Iterable
from uuid import UUID, uuid4

import pytest

from local_sidecar.state.dialects.base import Dialect, Item
from local_sidecar.state.dialects.in_memory import InMemory
from local_sidecar.state.dialects.mysql import MySQL
from local_sidecar.state.dialects.postgresql import PostgreSQL
from local_sidecar.state.dialects.redis import Redis
from local_sidecar.state.dialects.sqlite import SQLite
from local_sidecar.state.operations import FIRST_WRITE, LAST_WRITE, Operation, Refused

NOW = 1_000.0
WITH_RANDOM_ETAGS = [PostgreSQL(), SQLite(), InMemory(), MySQL()]
SQL = [PostgreSQL(), SQLite(), MySQL()]


def by_name(dialects: Iterable[Dialect]) -> pytest.MarkDecorator:
    """Run a test for each dialect."""
    return pytest.mark.parametrize("dialect", dialects, ids=lambda dialect: str(dialect.name))


def item(dialect: Dialect, expires: float | None = None) -> Item:
    """An item as the dialect would keep it."""
    return Item("app||a", b"1", "1" if dialect.name == "redis" else str(uuid4()), expires)


def save(etag: str = "", concurrency: str = "", ttl: str = "") -> Operation:
    """A save of the key `a`."""
    return Operation("app||a", b"2", etag, concurrency, ttl=ttl)


def deletion(etag: str = "", concurrency: str = "") -> Operation:
    """A deletion of the key `a`."""
    return Operation("app||a", None, etag, concurrency)


def refusal(dialect: Dialect, found: Item | None, operation: Operation) -> int:
    """The status with which an operation is refused, 0 for none."""
    try:
        dialect.check(operation)
        dialect.apply(found, operation, NOW)
    except Refused as refused:
        return refused.status
    return 0


@by_name(WITH_RANDOM_ETAGS)
def test_each_write_has_an_etag_of_its_own(dialect: Dialect) -> None:
    """Etags are random UUIDs, also when the value stays the same."""
    etags = {dialect.apply(None, save(), NOW).etag for _ in range(3)}  # type: ignore[union-attr]
    assert len({UUID(etag) for etag in etags}) == 3


@by_name(WITH_RANDOM_ETAGS)
def test_last_write_does_not_override_an_etag(dialect: Dialect) -> None:
    """A wrong etag is refused whatever the concurrency. Only Redis ignores the etag of a last-write."""
    operation = save(etag="7", concurrency=LAST_WRITE)
    assert refusal(dialect, item(dialect), operation) == 409
    assert refusal(Redis(), item(Redis()), operation) == 0


@by_name(SQL)
def test_deletion_of_an_expired_item_needs_its_etag(dialect: Dialect) -> None:
    """An expired item is still there for a deletion, but not for a save."""
    expired = item(dialect, NOW - 1)
    assert refusal(dialect, expired, deletion(etag=expired.etag)) == 0
    assert refusal(dialect, expired, deletion(etag=str(uuid4()))) == 409
    assert refusal(dialect, expired, save(etag=expired.etag)) == 409


@pytest.mark.parametrize(
    ("dialect", "concurrency", "status"),
    [
        *((Redis(), "bogus", 500), (SQLite(), "bogus", 500), (InMemory(), "bogus", 500)),
        *((PostgreSQL(), "bogus", 0), (MySQL(), "bogus", 0)),
        *((InMemory(), FIRST_WRITE, 409), (SQLite(), FIRST_WRITE, 0), (Redis(), FIRST_WRITE, 0)),
    ],
)
def test_options_of_a_deletion(dialect: Dialect, concurrency: str, status: int) -> None:
    """PostgreSQL and MySQL ignore a deletion's options. `first-write` matters to the in-memory store only."""
    assert refusal(dialect, item(dialect), deletion(concurrency=concurrency)) == status


@pytest.mark.parametrize(
    ("ttl", "sql", "others"),
    [("0", 0, 0), ("+5", 0, 0), ("-2", 500, 0), ("2147483648", 500, 0), ("abc", 500, 500), ("9" * 20, 500, 500)],
)
def test_time_to_live(ttl: str, sql: int, others: int) -> None:
    """SQL stores take a TTL from -1 to 2^31 - 1, the others any 64-bit number."""
    assert [refusal(dialect, None, save(ttl=ttl)) for dialect in SQL] == [sql] * 3
    assert [refusal(dialect, None, save(ttl=ttl)) for dialect in (Redis(), InMemory())] == [others] * 2


def test_first_write_in_a_transaction() -> None:
    """In a transaction, `first-write` is checked by the SQL stores, and on Redis it has no effect."""
    operation = Operation("app||a", b"2", concurrency=FIRST_WRITE, transactional=True)
    assert [refusal(dialect, item(dialect), operation) for dialect in SQL] == [500, 409, 409]
    kept = Redis().apply(None, operation, NOW)
    assert kept is not None
    assert not kept.needs_etag


def test_postgresql_reads_etags_as_uuids() -> None:
    """PostgreSQL accepts another spelling of the same UUID."""
    found = item(PostgreSQL())
    assert refusal(PostgreSQL(), found, save(etag=f"{{{found.etag.upper()}}}")) == 0
    assert refusal(SQLite(), found, save(etag=found.etag.upper())) == 409


def test_mysql_folds_keys() -> None:
    """Case, accents and blanks at the end do not count, nor do differences between emoji."""
    folded = MySQL().folded
    assert len({folded(key) for key in ("alice", "Alice", "ÁLICE", "alice  ")}) == 1
    assert folded("a😀") == folded("a😁")
    assert len({folded(key) for key in ("alice", " alice", "alicea", "ali_ce", "aljce")}) == 5


def test_mysql_refuses_to_create_a_long_key() -> None:
    """A key of more than 255 characters is 500 when it would be created, and unknown otherwise."""
    long = "app||" + "x" * 251
    assert refusal(MySQL(), None, Operation(long, b"1")) == 500
    assert refusal(MySQL(), None, Operation(long, b"1", etag="7")) == 409
    assert refusal(MySQL(), None, Operation(long[:-1], b"1")) == 0


def test_mysql_cannot_create_an_expired_key() -> None:
    """`first-write` fails with 500 while an expired item waits for the cleanup. The other stores create the key."""
    operation = save(concurrency=FIRST_WRITE)
    dialects: list[Dialect] = [MySQL(), PostgreSQL(), SQLite(), InMemory(), Redis()]
    assert [refusal(dialect, item(dialect, NOW - 1), operation) for dialect in dialects] == [500, 0, 0, 0, 0]


@by_name([Redis(), *WITH_RANDOM_ETAGS])
def test_a_store_that_is_down(dialect: Dialect) -> None:
    """A failure is 500. Dapr's Redis store takes that of a deletion, or of a save with an etag, for a mismatch."""
    operations = [save(), save(etag="1"), deletion()]
    statuses = [dialect.failure(operation, "down").status for operation in operations]
    assert statuses == ([500, 409, 409] if dialect.name == "redis" else [500, 500, 500])
