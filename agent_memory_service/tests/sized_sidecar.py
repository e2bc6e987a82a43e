"""A sidecar whose bulk reads take time, and which records how many keys and bytes are under way."""

import asyncio
import json
from dataclasses import dataclass

import httpx

from tests.fake_clients import Sidecar
from tests.fake_dapr import Entry, FakeDapr
from tests.fake_wire import JSON, encoded


@dataclass(frozen=True)
class BulkCall:
    """One bulk read: its keys, the size of its response, and the keys of all bulk reads under way when it began."""

    keys: int
    size_bytes: int
    keys_under_way: int


class SizedSidecar(Sidecar):
    """Records the bulk reads."""

    def __init__(self, dapr: FakeDapr) -> None:
        super().__init__(dapr)
        self.calls: list[BulkCall] = []
        self.bulk_seconds = 0.5
        self._under_way = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/bulk"):
            return await super().handle_async_request(request)
        keys = len(json.loads(request.content)["keys"])
        self._under_way += keys
        under_way = self._under_way
        try:
            await asyncio.sleep(self.bulk_seconds)
            response = await super().handle_async_request(request)
        finally:
            self._under_way -= keys
        self.calls.append(BulkCall(keys, len(response.content), under_way))
        return response


def seed_session(dapr: FakeDapr, session: str, entry_bytes: list[int], user: str = "u") -> None:
    """Store a session with pages of 12 messages; the messages of page n have `entry_bytes[n]`. One is in the head."""
    texts: dict[int, str] = {}
    for number, size in enumerate(entry_bytes):
        entry = {"role": "user", "content": "x" * size, "timestamp": "2026-01-01T00:00:00+00:00", "turn_id": "t"}
        if size not in texts:  # pages of one size share their text: the store of a test may have gigabytes
            texts[size] = encoded({"history": [dict(entry) for _ in range(12)]})
        dapr.entries[f"session:{session}:aa:{number}"] = Entry(texts[size], 1, "1")
    head: dict[str, JSON] = {
        "history": [dict(entry)],
        "sealed": 12 * len(entry_bytes),
        "epoch": "aa",
        "owner": user,
        "listed": session,
    }
    dapr.seed(f"session:{session}", {**head, "created": "2026-01-01T00:00:00+00:00", "first_words": "x"})


def seed_list(dapr: FakeDapr, user: str, sessions: list[str]) -> None:
    """Store a user's list of these sessions."""
    entries: list[JSON] = [
        {"session_id": it, "timestamp": "2026-01-01T00:00:00+00:00", "turn_id": it} for it in sessions
    ]
    dapr.seed(f"sessions-of:{user}", {"history": entries, "sealed": 0, "epoch": "bb"})
