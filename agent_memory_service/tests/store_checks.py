"""What the store may have once no operation is under way."""

from collections.abc import Set

from tests.fake_dapr import FakeDapr
from tests.fake_wire import JSON

DAY_SECONDS = 24 * 60 * 60
"""How long a session's tombstone lives."""
TOMBSTONE_FIELDS = {"history", "sealed", "epoch", "announced", "epochs", "deleted"}


def check_store(dapr: FakeDapr, page: int, nothing_is_due: bool = False, late_ttl_keys: Set[str] = frozenset()) -> None:
    """No page without a head that needs it, or a sweep that is due. Tombstones are empty.

    A session's tombstone lives for a day; profiles, lists and their tombstones never expire. With `nothing_is_due`
    every page is one of a live epoch, and no erase is under way. A tombstone of `late_ttl_keys` may be there for good:
    the store took its TTL away for a turn from before.
    """
    values = dapr.values()
    due = due_items(values)
    assert not (nothing_is_due and due), f"still due: {due}"
    for key, value in values.items():
        expires = dapr.entries[key].expires_at
        if key.count(":") == 3:
            name, epoch, number = key.rsplit(":", 2)
            if ["sweep", name, epoch] not in [[kind, name, epoch] for kind, name, _, epoch, _ in due]:
                check_page(key, value, values.get(name), epoch, int(number), page)
            assert expires is None, f"a page that expires: {key}"
        elif key.count(":") == 4:
            assert expires is not None, f"an id that is remembered for ever: {key}"
            assert isinstance(value, dict)
            assert value.keys() == {"first", "count"}
        elif key.startswith("due:"):
            assert expires is not None or key == "due:done"
        elif isinstance(value, dict) and value.get("deleted"):
            assert not value.get("history"), f"a tombstone with content: {key} {value}"
            assert not set(value) - TOMBSTONE_FIELDS - (set() if nothing_is_due else {"erasing"}), f"{key} {value}"
            if key.startswith("session:") and not (expires is None and key in late_ttl_keys):
                assert expires is not None, f"a tombstone for ever: {key} {value}"
                assert dapr.clock() < expires <= dapr.clock() + DAY_SECONDS
            else:
                assert expires is None, f"what is written over it would be lost at {expires}: {key}"
        else:
            assert expires is None, f"{key} would be lost at {expires}"
            frozen = isinstance(value, dict) and "erasing" in value
            assert not (frozen and nothing_is_due), f"an erase that nobody finishes: {key}"


def due_items(values: dict[str, JSON]) -> list[tuple[str, str, int, str, int]]:
    """Every item of the due list: its kind, id, step, epoch and pages."""
    found: list[tuple[str, str, int, str, int]] = []
    for key, value in values.items():
        if key.startswith("due:") and isinstance(value, dict) and isinstance(items := value.get("items"), list):
            for item in items:
                assert isinstance(item, list)
                kind, name, step, epoch, pages = item
                found.append((str(kind), str(name), int(str(step)), str(epoch), int(str(pages))))
    return found


def check_page(key: str, value: JSON, head: JSON, epoch: str, number: int, page: int) -> None:
    """A page of a live head: one that it counts, or one that it announced, left by a writer that died.

    In the second case it has the entries that the next append seals.
    """
    assert isinstance(head, dict), f"a page without a head: {key}"
    assert isinstance(value, dict)
    assert not head.get("deleted"), f"a page of a tombstone: {key} {head}"
    assert str(head.get("epoch", "0")) == epoch, f"a page of a forgotten epoch: {key} {head}"
    sealed, history, entries = int(str(head.get("sealed", 0))), head["history"], value["history"]
    assert isinstance(history, list)
    ahead = number * page - sealed
    assert ahead < 0 or history[ahead : ahead + page] == entries, f"a page ahead of its head: {key} {entries} {head}"
    assert "announced" not in head or number < int(str(head["announced"])), f"a page that nobody announced: {key}"
