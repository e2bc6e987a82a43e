"""What this service's first version stored, and how it wrote to documents of this version."""

import json
from pathlib import Path
from typing import cast

from log import recent_ids
from tests.fake_dapr import FakeDapr
from tests.fake_wire import JSON

RECORDED = Path(__file__).parent / "recorded" / "first_version.json"
"""All keys of a store after some requests to the first version: sessions of ann, bob's replaced and deleted session,
eve who was erased a second ago, and fay who came back after her erase."""
PAGE, HEAD_KEEPS = 12, 20

Document = dict[str, JSON]


def recorded() -> Document:
    documents: Document = json.loads(RECORDED.read_text())
    return documents


def seed(dapr: FakeDapr) -> None:
    for key, value in recorded().items():
        dapr.seed(key, value)


def append(dapr: FakeDapr, key: str, entry_id: str, entries: list[Document], keeps_fields: bool = True) -> None:
    """Append as the first version does: it carries along the fields that it does not know, in a list it drops them.

    It seals what is too much for the head and announces nothing.
    """
    found = dapr.value(key)
    assert isinstance(found, dict)
    known = {"history", "sealed", "epoch", "turns", "was", "deleted"}
    history = [*cast(list[JSON], found.get("history") or []), *entries]
    sealed, epoch = cast(int, found.get("sealed", 0)), found.get("epoch", "0")
    pages = max(0, -(-(len(history) - HEAD_KEEPS - PAGE) // PAGE))
    for number in range(pages):
        page = history[number * PAGE : (number + 1) * PAGE]
        dapr.seed(f"{key}:{epoch}:{sealed // PAGE + number}", {"history": page})
    head: Document = {name: value for name, value in found.items() if name not in known and keeps_fields}
    head |= {"history": history[pages * PAGE :], "sealed": sealed + pages * PAGE, "epoch": epoch}
    head["turns"] = recent_ids.add(cast(str, found.get("turns", recent_ids.EMPTY)), entry_id, len(entries))
    if found.get("was"):
        head["was"] = found["was"]
    dapr.seed(key, head)
