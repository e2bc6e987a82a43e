"""A fake of Dapr's state API over Redis, in memory. It fakes the wire and not the code that uses the wire.

Its responses are those that a Dapr 1.18 sidecar over Redis 7 gave, with all their oddities.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote_plus

import httpx

from tests.fake_wire import JSON, Refused, body_of, checked_key, encoded, items_of, mapping

STORE = "statestore"
SEED = "seed"
"""The sender of values that the test itself put into the store."""
BODY_LIMIT_BYTES = 4 * 1024 * 1024
"""Largest body that Dapr accepts, in bytes; a larger one is 400."""


@dataclass
class Entry:
    """One key: its value as JSON text, the number of its writes, and its time of expiry (None: never)."""

    data: str
    version: int = 0
    expires_at: float | None = None
    first_write: bool = False  # Dapr's mark: later writes without an etag are refused


@dataclass(frozen=True)
class Commit:
    """One write that took effect: its key, the value as JSON text (None: deleted), its TTL, and its sender."""

    key: str
    data: str | None
    ttl: str | None
    by: str


class FakeDapr:
    """The state store; `respond` carries out one request. Without a clock its time changes only by `seconds`.

    `calls` counts requests by kind (get, bulk, save, delete), `traffic` the bytes of bodies (sent, received). Each
    function in `on_commit` is called with each write that took effect.
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self.seconds = 0.0
        self.clock = clock or (lambda: self.seconds)
        self.entries: dict[str, Entry] = {}
        self.calls: Counter[str] = Counter()
        self.traffic: Counter[str] = Counter()
        self.on_commit: list[Callable[[Commit], None]] = []

    def live(self, key: str) -> Entry | None:
        entry = self.entries.get(key)
        if entry and entry.expires_at is not None and entry.expires_at <= self.clock():
            del self.entries[key]
            return None
        return entry

    def values(self) -> dict[str, JSON]:
        """Every live key with its value."""
        return {key: json.loads(entry.data) for key in list(self.entries) if (entry := self.live(key))}

    def seed(self, key: str, value: JSON) -> None:
        """Write a key without a request, as another program would."""
        self._write({"key": key, "value": value}, SEED)

    def respond(self, request: httpx.Request, by: str = "") -> httpx.Response:
        """Carry out one request; `by` names its sender in the commits."""
        try:
            kind, key = self._route(request)
            self.calls[kind] += 1
            response = self._carry_out(kind, key, request, by)
        except Refused as refused:
            response = refused.response
        self.traffic.update(sent=len(request.content), received=len(response.content))
        return response

    def _carry_out(self, kind: str, key: str, request: httpx.Request, by: str) -> httpx.Response:
        match kind:
            case "get":
                return self._get(key)
            case "bulk":
                return self._bulk(request)
            case "delete":
                return self._delete(key, request.headers.get("if-match"), by)
        return self._save(request, by)

    def _route(self, request: httpx.Request) -> tuple[str, str]:
        parts = request.url.raw_path.decode().partition("?")[0].split("/")[1:]
        method = {"PUT": "POST"}.get(request.method, request.method)
        if len(parts) > 2 and parts[:2] == ["v1.0", "state"] and parts[2] != STORE:
            raise Refused(400, "ERR_STATE_STORE_NOT_FOUND", f"state store {parts[2]} is not found")
        if len(request.content) > BODY_LIMIT_BYTES:
            raise Refused(400, "ERR_MALFORMED_REQUEST", "stream too large")
        match method, parts:
            case "POST", ["v1.0", "state", _]:
                return "save", ""
            case "POST", ["v1.0", "state", _, "bulk"]:
                return "bulk", ""
            case "GET" | "DELETE", ["v1.0", "state", _, key] if key:
                return method.lower(), checked_key(unquote_plus(key))
        raise Refused(404, "ERR_DIRECT_INVOKE", "failed getting app id either from the URL path or a header")

    def _get(self, key: str) -> httpx.Response:
        entry = self.live(key)
        if entry is None:
            return httpx.Response(204)
        headers = {"content-type": "application/json", "etag": str(entry.version)}
        return httpx.Response(200, headers=headers, content=entry.data.encode())

    def _bulk(self, request: httpx.Request) -> httpx.Response:
        body = body_of(request)
        if not isinstance(body, dict):
            raise Refused(400, "ERR_MALFORMED_REQUEST", "failed deserializing HTTP body")
        keys = body.get("keys") or []
        items: list[JSON] = [self._bulk_item(str(key)) for key in keys] if isinstance(keys, list) else []
        return httpx.Response(200, headers={"content-type": "application/json"}, content=encoded(items).encode())

    def _bulk_item(self, key: str) -> JSON:
        entry = self.live(key)
        return {"key": key, "data": json.loads(entry.data), "etag": str(entry.version)} if entry else {"key": key}

    def _delete(self, key: str, wanted: str | None, by: str) -> httpx.Response:
        entry = self.live(key)
        if entry and wanted is not None and str(entry.version) != wanted:
            raise Refused(409, "ERR_STATE_DELETE", f"failed deleting state with key {key}: possible etag mismatch")
        if entry:
            del self.entries[key]
            self._notify(Commit(key, None, None, by))
        return httpx.Response(204)

    def _save(self, request: httpx.Request, by: str) -> httpx.Response:
        refusals = [refused for item in items_of(request) if (refused := self._write(item, by))]
        if refusals:  # the other items have been written
            raise refusals[0]
        return httpx.Response(204)

    def _write(self, item: dict[str, JSON], by: str) -> Refused | None:
        key, etag = str(item["key"]), str(item.get("etag") or "0")
        ttl, concurrency = mapping(item, "metadata").get("ttlInSeconds"), mapping(item, "options").get("concurrency")
        if not etag.isdigit():
            return Refused(400, "ERR_STATE_SAVE", f"invalid etag value: {etag}")
        if concurrency == "last-write":
            etag = "0"
        entry = self.live(key)  # on a missing key the etag is not checked: such a write succeeds
        if entry and etag != str(entry.version) and (etag != "0" or entry.first_write):
            return Refused(500 if etag == "0" else 409, "ERR_STATE_SAVE", "failed saving state: possible etag mismatch")
        entry = self.entries.setdefault(key, Entry(""))
        entry.data, entry.version = encoded(item.get("value")), entry.version + 1
        entry.first_write = entry.first_write or concurrency == "first-write"
        if ttl is not None:  # a write without a TTL keeps the old one
            entry.expires_at = self.clock() + int(str(ttl)) if int(str(ttl)) > 0 else None
        self._notify(Commit(key, entry.data, None if ttl is None else str(ttl), by))
        return None

    def _notify(self, commit: Commit) -> None:
        for listener in self.on_commit:
            listener(commit)
