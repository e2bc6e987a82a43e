"""What the store may have once no operation is under way."""

from tests.fake_dapr import FakeDapr
from tests.fake_wire import JSON

DAY_SECONDS = 24 * 60 * 60
"""How long a tombstone lives."""


def check_store(dapr: FakeDapr, page: int) -> None:
    """No page without a head that needs it. Tombstones are empty and live for a day; nothing else expires."""
    values = dapr.values()
    for key, value in values.items():
        expires = dapr.entries[key].expires_at
        if key.count(":") == 3:
            name, epoch, number = key.rsplit(":", 2)
            check_page(key, value, values.get(name), epoch, int(number), page)
            assert expires is None, f"a page that expires: {key}"
        elif isinstance(value, dict) and value.get("deleted"):
            assert expires is not None, f"a tombstone for ever: {key} {value}"
            assert dapr.clock() < expires <= dapr.clock() + DAY_SECONDS
            assert not value.get("history"), f"a tombstone with content: {key} {value}"
            assert not set(value) - {"history", "sealed", "epoch", "turns", "was", "deleted"}, f"{key} {value}"
        else:
            assert expires is None, f"{key} would be lost at {expires}"


def check_page(key: str, value: JSON, head: JSON, epoch: str, number: int, page: int) -> None:
    """A page of a live head: one that it counts, or the next one, left by a writer that died.

    In the second case it has the entries that the next append seals.
    """
    assert isinstance(head, dict), f"a page without a head: {key}"
    assert isinstance(value, dict)
    assert not head.get("deleted"), f"a page of a tombstone: {key} {head}"
    retired = head.get("was", [])
    assert isinstance(retired, list)
    named = [item for item in retired if isinstance(item, list) and item[0] == epoch]
    if str(head.get("epoch", "0")) != epoch:
        assert named, f"a page of a forgotten epoch: {key} {head}"
        return
    sealed, history, entries = int(str(head.get("sealed", 0))), head["history"], value["history"]
    assert isinstance(history, list)
    ahead = number * page - sealed
    assert ahead < 0 or history[ahead : ahead + page] == entries, f"a page ahead of its head: {key} {entries} {head}"
