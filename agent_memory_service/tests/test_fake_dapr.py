"""The fake gives the responses that were recorded from a real sidecar over Redis.

test_store_kinds has the other stores.
"""

import pytest

from tests.fake_wire import JSON
from tests.plain_wire import Wire


@pytest.fixture
def wire() -> Wire:
    return Wire()


def test_etag_counts_the_writes_of_a_key_and_starts_again(wire: Wire) -> None:
    """A missing key is 204. Versions are 1, 2 and after a delete 1 again, so an old etag can match."""
    assert wire.get("a") == (204, None, "")
    assert [wire.save({"key": "a", "value": number}) for number in (1, 2)] == [204, 204]
    assert wire.get("a") == (200, "2", "2")
    assert wire.ask("DELETE", "statestore/a", headers={"If-Match": "1"}).status_code == 409
    assert wire.ask("DELETE", "statestore/a", headers={"If-Match": "2"}).status_code == 204
    assert wire.save({"key": "a", "value": 3}) == 204
    assert wire.get("a") == (200, "1", "3")


def test_conditional_save(wire: Wire) -> None:
    """A wrong etag is 409 and changes nothing. On a missing key any etag succeeds."""
    assert wire.save({"key": "a", "value": 1, "etag": "7"}) == 204
    assert wire.save({"key": "a", "value": 2, "etag": "1"}) == 204
    refused = wire.ask("POST", "statestore", [{"key": "a", "value": 3, "etag": "1"}])
    assert (refused.status_code, refused.json()["errorCode"]) == (409, "ERR_STATE_SAVE")
    assert wire.get("a") == (200, "2", "2")
    assert wire.save({"key": "a", "value": 4, "etag": "9", "options": {"concurrency": "last-write"}}) == 204


def test_create_if_absent(wire: Wire) -> None:
    """A save with the etag that no key reaches succeeds on a missing key only."""
    assert wire.save({"key": "a", "value": 1, "etag": "2147483647"}) == 204
    assert wire.save({"key": "a", "value": 2, "etag": "2147483647"}) == 409


def test_several_keys_are_not_saved_atomically(wire: Wire) -> None:
    """One wrong etag gives 409 and the other keys are written. A malformed item stops all of them."""
    wire.save({"key": "b", "value": 0})
    assert wire.save({"key": "a", "value": 1}, {"key": "b", "value": 1, "etag": "5"}, {"key": "c", "value": 1}) == 409
    assert [wire.get(key)[2] for key in "abc"] == ["1", "0", "1"]
    assert wire.save({"key": "d", "value": 1}, {"key": "", "value": 1}) == 400
    assert wire.get("d")[0] == 204


def test_first_write_without_etag_marks_the_key(wire: Wire) -> None:
    """After it, a save without an etag fails with 500, and one with the right etag succeeds."""
    assert wire.save({"key": "a", "value": 1, "options": {"concurrency": "first-write"}}) == 204
    assert wire.save({"key": "a", "value": 2}) == 500
    assert wire.save({"key": "a", "value": 3, "etag": "1"}) == 204


@pytest.mark.parametrize(
    "item",
    [
        {"value": 1},
        {"key": "a||b"},
        {"key": "a", "etag": 1},
        {"key": "a", "etag": "x"},
        {"key": "a", "etag": '"1"'},
        {"key": "a", "metadata": {"ttlInSeconds": 2}},
    ],
)
def test_malformed_items_are_refused(wire: Wire, item: JSON) -> None:
    """A wrong shape is 400, and nothing is written."""
    assert wire.save(item) == 400
    assert wire.dapr.values() == {}


def test_bulk_read_keeps_the_order_and_names_misses(wire: Wire) -> None:
    """The items have the order of the keys. A missing key has no data."""
    wire.save({"key": "a", "value": {"x": 1}}, {"key": "b", "value": "text"})
    response = wire.ask("POST", "statestore/bulk", {"keys": ["b", "none", "a"], "parallelism": 1})
    hits = [{"key": "b", "data": "text", "etag": "1"}, {"key": "none"}, {"key": "a", "data": {"x": 1}, "etag": "1"}]
    assert (response.status_code, response.json()) == (200, hits)


def test_a_ttl_runs_on_under_a_save_that_states_none(wire: Wire) -> None:
    """A save without a TTL keeps the old one, "-1" clears it, and a number starts it again."""
    for key in "abc":
        wire.save({"key": key, "value": 1, "metadata": {"ttlInSeconds": "10"}})
    wire.dapr.seconds = 5
    wire.save({"key": "a", "value": 2}, {"key": "b", "value": 2, "metadata": {"ttlInSeconds": "-1"}})
    wire.save({"key": "c", "value": 2, "metadata": {"ttlInSeconds": "10"}})
    wire.dapr.seconds = 12
    assert [wire.get(key)[:2] for key in "abc"] == [(204, None), (200, "2"), (200, "2")]
    wire.save({"key": "a", "value": 3, "etag": "2"})
    assert wire.get("a") == (200, "1", "3")


def test_values_are_decoded_and_encoded_again(wire: Wire) -> None:
    """Key order is lost, floats keep six decimals, big integers change, text stays."""
    wire.save({"key": "a", "value": {"b": "é🙂\u0001", "a": [1.0, 0.12345678, 2**53 + 1, None, True]}})
    assert wire.get("a")[2] == '{"a":[1,0.123457,9007199254740992,null,true],"b":"é🙂\\u0001"}'


def test_keys_in_paths(wire: Wire) -> None:
    """A quoted key is one key, a plus is a space, and a path with a raw slash is not a state path."""
    wire.save({"key": "a b", "value": 1}, {"key": "a/b?c#d%e", "value": 2})
    assert [wire.get(key)[2] for key in ("a b", "a/b?c#d%e")] == ["1", "2"]
    assert wire.ask("GET", "statestore/a+b").text == "1"
    assert wire.ask("GET", "statestore/a/b").json()["errorCode"] == "ERR_DIRECT_INVOKE"
    assert wire.ask("GET", "nostore/a").json()["errorCode"] == "ERR_STATE_STORE_NOT_FOUND"


def test_a_body_over_4_mib_is_refused(wire: Wire) -> None:
    """A body of 3.9 MiB passes, one of more than 4 MiB is 400."""
    assert wire.save({"key": "a", "value": "y" * 4_089_000}) == 204
    assert wire.save({"key": "b", "value": "y" * 4_194_400}) == 400


def test_calls_and_bytes_are_counted(wire: Wire) -> None:
    """Calls are counted by kind, bytes by direction."""
    wire.save({"key": "a", "value": 1})
    wire.get("a")
    assert wire.dapr.calls == {"save": 1, "get": 1}
    assert wire.dapr.traffic == {"sent": len('[{"key":"a","value":1}]'), "received": 1}
