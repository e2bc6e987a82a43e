"""The fake behaves as each kind of store did when its responses were recorded."""

import asyncio

import httpx
import pytest

from tests.fake_clients import Call, Fault, Schedule
from tests.fake_dapr import FakeDapr
from tests.fake_time import run
from tests.fake_wire import JSON
from tests.plain_wire import BASE_URL, Wire
from tests.store_kinds import ALL_KINDS, MYSQL, POSTGRESQL, REDIS, SQLITE, StoreKind

FIRST_WRITE: JSON = {"concurrency": "first-write"}
UNKNOWN_ETAG = "2147483647"
ENCRYPTED = [kind for kind in ALL_KINDS if kind.encrypted]


def with_ttl(value: JSON, ttl: str) -> dict[str, JSON]:
    return {"key": "a", "value": value, "metadata": {"ttlInSeconds": ttl}}


@pytest.mark.parametrize(("kind", "status"), [(REDIS, 204), (POSTGRESQL, 409), (SQLITE, 409)], ids=str)
def test_an_etag_on_a_missing_key(kind: StoreKind, status: int) -> None:
    """Redis writes the key. The others refuse, also with an etag of an earlier life of the key."""
    wire = Wire(kind)
    assert wire.save({"key": "a", "value": 1, "etag": UNKNOWN_ETAG}) == status
    wire.save({"key": "b", "value": 1})
    etag = wire.get("b")[1]
    assert etag
    wire.ask("DELETE", "statestore/b")
    assert wire.save({"key": "b", "value": 2, "etag": etag}) == status
    assert wire.ask("DELETE", "statestore/none", headers={"If-Match": etag}).status_code == status


@pytest.mark.parametrize(("kind", "status"), [(POSTGRESQL, 500), (SQLITE, 409)], ids=str)
def test_a_first_write_creates_a_key_once(kind: StoreKind, status: int) -> None:
    """A second first-write is refused, and a save without an etag is accepted."""
    wire = Wire(kind)
    assert wire.save({"key": "a", "value": 1, "options": FIRST_WRITE}) == 204
    assert wire.save({"key": "a", "value": 2, "options": FIRST_WRITE}) == status
    assert wire.get("a")[2] == "1"
    assert wire.save({"key": "a", "value": 3}) == 204


def test_a_first_write_overwrites_a_plain_key_of_redis() -> None:
    """Redis checks only keys that a first-write has marked."""
    wire = Wire(REDIS)
    wire.save({"key": "a", "value": 1})
    assert wire.save({"key": "a", "value": 2, "options": FIRST_WRITE}) == 204
    assert wire.save({"key": "a", "value": 3, "options": FIRST_WRITE}) == 500


def test_etags_of_postgresql_never_repeat() -> None:
    """Each write has an etag of its own, also after a delete."""
    wire = Wire(POSTGRESQL)
    etags = set()
    for _ in range(3):
        wire.save({"key": "a", "value": 1})
        etags.add(wire.get("a")[1])
        wire.ask("DELETE", "statestore/a")
    assert len(etags) == 3


@pytest.mark.parametrize(("kind", "left"), [(REDIS, 204), (POSTGRESQL, 200)], ids=str)
def test_a_save_without_a_ttl(kind: StoreKind, left: int) -> None:
    """Redis keeps the old TTL, the others clear it."""
    wire = Wire(kind)
    wire.save(with_ttl(1, "10"))
    wire.save({"key": "a", "value": 2})
    wire.dapr.seconds = 12
    assert wire.get("a")[0] == left


@pytest.mark.parametrize("kind", ENCRYPTED, ids=str)
def test_encryption_destroys_objects(kind: StoreKind) -> None:
    """An object comes back as Go's text, and empties the response of a bulk read. A JSON text comes back as JSON."""
    wire = Wire(kind)
    wire.save({"key": "a", "value": {"n": 1, "name": "Ann", "l": [1, None]}}, {"key": "b", "value": '{"n":1}'})
    assert wire.get("a")[2] == "map[l:[1 <nil>] n:1 name:Ann]"
    assert wire.get("b")[2] == '{"n":1}'
    assert wire.ask("POST", "statestore/bulk", {"keys": ["b"]}).json()[0]["data"] == {"n": 1}
    assert wire.ask("POST", "statestore/bulk", {"keys": ["a", "b"]}).content == b""


def test_mysql_keeps_similar_keys_as_one() -> None:
    """Case, accents and trailing spaces do not count. A key of 400 characters is refused."""
    wire = Wire(MYSQL)
    for number, key in enumerate(("alice", "Alice", "Álice", "alice ")):
        assert wire.save({"key": key, "value": number}) == 204
    assert wire.get("alice")[2] == "3"
    assert wire.save({"key": "x" * 400, "value": 1}) == 500


def test_a_full_store_refuses_writes_and_deletes_keys() -> None:
    """A write with an etag is 409, one without is 500. Deletes free space."""
    wire = Wire(REDIS)
    wire.save({"key": "a", "value": 1})
    wire.dapr.full = True
    assert [wire.save({"key": "a", "value": 2, "etag": "1"}), wire.save({"key": "b", "value": 2})] == [409, 500]
    assert wire.ask("DELETE", "statestore/a").status_code == 204


def begun(kind: StoreKind) -> tuple[Schedule, Call]:
    """A key without a TTL, and a write of it with a TTL that waits in a schedule."""
    schedule = Schedule(FakeDapr(kind=kind))
    schedule.dapr.seed("a", 1)
    body = [{"key": "a", "value": 2, "metadata": {"ttlInSeconds": "10"}}]
    request = httpx.Request("POST", f"{BASE_URL}statestore", json=body)

    async def call() -> Call:
        return Call("0.0", "replica", request, asyncio.get_running_loop().create_future())

    schedule.parked.append(run(call()))
    return schedule, schedule.parked[0]


def expiry(schedule: Schedule) -> float | None:
    return schedule.dapr.entries["a"].expires_at


def test_a_ttl_of_redis_is_a_command_of_its_own() -> None:
    """The value is written first. Another write can come between, and the TTL then takes effect on that one."""
    schedule, call = begun(REDIS)
    schedule.begin(call)
    assert (schedule.dapr.values(), expiry(schedule)) == ({"a": 2}, None)
    schedule.dapr.seed("a", 3)
    schedule.let(call)
    assert (schedule.dapr.values(), expiry(schedule)) == ({"a": 3}, 10)


@pytest.mark.parametrize(("fault", "late"), [(Fault.TTL_LATE, 1), (Fault.TTL_LOST, 0)])
def test_a_ttl_of_redis_may_be_late_or_lost(fault: Fault, late: int) -> None:
    """The value is written and the response is 500. The TTL comes later or never."""
    schedule, call = begun(REDIS)
    schedule.let(call, fault)
    assert call.response.result().status_code == 500
    assert (schedule.dapr.values(), expiry(schedule), len(schedule.late)) == ({"a": 2}, None, late)
    for work in list(schedule.late):
        schedule.land(work)
    assert expiry(schedule) == (10 if late else None)


def test_postgresql_writes_a_value_with_its_ttl() -> None:
    """No other write can come between."""
    schedule, call = begun(POSTGRESQL)
    schedule.begin(call)
    assert expiry(schedule) == 10
