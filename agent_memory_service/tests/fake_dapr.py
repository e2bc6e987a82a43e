"""A fake of Dapr's state API, in memory. It fakes the wire and not the code that uses the wire.

Its responses are those that a Dapr 1.18 sidecar gave, with all their oddities. `store_kinds` has what differs between
the stores behind it.
"""

import json
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote_plus

import httpx

from tests.fake_wire import JSON, Refused, body_of, checked_key, encoded, is_json, items_of, mapping
from tests.store_kinds import REDIS, StoreKind

STORE = "statestore"
SEED = "seed"
"""The sender of values that the test itself put into the store."""
BODY_LIMIT_BYTES = 4 * 1024 * 1024
"""Largest body that Dapr accepts, in bytes; a larger one is 400."""


TtlStep: TypeAlias = Callable[[], None]
"""The second command of a write on Redis: EXPIRE or PERSIST. It takes effect on the value that the key has by then."""


@dataclass
class Entry:
    """One key: what a read of it returns, the number of its writes, its etag, and its time of expiry (None: never)."""

    data: str
    version: int = 0
    etag: str = ""
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

    `begin` carries out a request without the TTL steps of its writes, which are commands of their own on Redis: others
    can come between, and a step may be late or lost.

    `calls` counts requests by kind (get, bulk, save, delete), `traffic` the bytes of bodies (sent, received). Each
    function in `on_commit` is called with each write that took effect.
    """

    def __init__(self, clock: Callable[[], float] | None = None, kind: StoreKind = REDIS) -> None:
        self.seconds = 0.0
        self.clock = clock or (lambda: self.seconds)
        self.kind = kind
        self.full = False
        """A full store: every write is refused except a delete."""
        self._writes = 0
        self._ttl_steps: list[TtlStep] = []
        self.entries: dict[str, Entry] = {}
        self.calls: Counter[str] = Counter()
        self.traffic: Counter[str] = Counter()
        self.on_commit: list[Callable[[Commit], None]] = []

    def live(self, key: str) -> Entry | None:
        row = self.kind.key(key)
        entry = self.entries.get(row)
        if entry and entry.expires_at is not None and entry.expires_at <= self.clock():
            del self.entries[row]
            return None
        return entry

    def value(self, key: str) -> JSON:
        """The value of a key as its writer meant it: also a JSON text that was saved as a string. None: no key."""
        entry = self.live(key)
        return None if entry is None else value_of(entry)

    def values(self) -> dict[str, JSON]:
        """Every live key with its value."""
        return {key: value_of(entry) for key in list(self.entries) if (entry := self.live(key))}

    def seed(self, key: str, value: JSON) -> None:
        """Write a key without a request, as another program would."""
        stored = encoded(value) if self.kind.encrypted else value
        self._write({"key": key, "value": stored}, SEED)
        self._run_ttl_steps()

    def respond(self, request: httpx.Request, by: str = "") -> httpx.Response:
        """Carry out one request with its TTL steps; `by` names its sender in the commits."""
        response, steps = self.begin(request, by)
        for step in steps:
            step()
        return response

    def begin(self, request: httpx.Request, by: str = "") -> tuple[httpx.Response, list[TtlStep]]:
        """Carry out one request. Returns the response, and the TTL steps that come before it."""
        response = self._respond(request, by)
        steps, self._ttl_steps = self._ttl_steps, []
        return response, steps

    def _respond(self, request: httpx.Request, by: str) -> httpx.Response:
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
            case "metadata":
                component = {"name": STORE, "type": self.kind.component, "version": "v1", "capabilities": []}
                return httpx.Response(200, json={"id": "agent-memory-service", "components": [component]})
        return self._save(request, by)

    def _route(self, request: httpx.Request) -> tuple[str, str]:
        parts = request.url.raw_path.decode().partition("?")[0].split("/")[1:]
        method = {"PUT": "POST"}.get(request.method, request.method)
        if len(parts) > 2 and parts[:2] == ["v1.0", "state"] and parts[2] != STORE:
            raise Refused(400, "ERR_STATE_STORE_NOT_FOUND", f"state store {parts[2]} is not found")
        if len(request.content) > BODY_LIMIT_BYTES:
            raise Refused(400, "ERR_MALFORMED_REQUEST", "stream too large")
        match method, parts:
            case "GET", ["v1.0", "metadata"]:
                return "metadata", ""
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
        headers = {"content-type": "application/json"}
        if self.kind.has_etags:
            headers["etag"] = entry.etag
        return httpx.Response(200, headers=headers, content=entry.data.encode(errors="surrogateescape"))

    def _bulk(self, request: httpx.Request) -> httpx.Response:
        body = body_of(request)
        if not isinstance(body, dict):
            raise Refused(400, "ERR_MALFORMED_REQUEST", "failed deserializing HTTP body")
        keys = body.get("keys") or []
        found = [(str(key), self.live(str(key))) for key in keys] if isinstance(keys, list) else []
        headers = {"content-type": "application/json"}
        if not all(entry is None or not entry.data or is_json(entry.data) for _, entry in found):
            return httpx.Response(200, headers=headers)  # one value that is not JSON empties the whole response
        items = [bulk_item(key, entry) for key, entry in found]
        return httpx.Response(200, headers=headers, content=f"[{','.join(items)}]".encode())

    def _delete(self, key: str, wanted: str | None, by: str) -> httpx.Response:
        entry = self.live(key)
        if wanted is not None and self.kind.delete_refused(wanted, entry.etag if entry else None):
            raise Refused(409, "ERR_STATE_DELETE", f"failed deleting state with key {key}: possible etag mismatch")
        if entry and self.kind.deletes:
            del self.entries[self.kind.key(key)]
            self._notify(Commit(key, None, None, by))
        return httpx.Response(204)

    def _save(self, request: httpx.Request, by: str) -> httpx.Response:
        refusals = [refused for item in items_of(request) if (refused := self._write(item, by))]
        if refusals:  # the other items have been written
            raise refusals[0]
        return httpx.Response(204)

    def _write(self, item: dict[str, JSON], by: str) -> Refused | None:
        key, etag = str(item["key"]), str(item.get("etag") or "")
        ttl, concurrency = mapping(item, "metadata").get("ttlInSeconds"), mapping(item, "options").get("concurrency")
        if concurrency == "last-write":
            etag = ""
        entry, first_write = self.live(key), concurrency == "first-write"
        status = self.kind.write_refused(
            etag,
            entry.etag if entry else None,
            marked=entry is not None and entry.first_write,
            first_write=first_write,
        )
        if self.full:
            status = 409 if etag else 500
        if not status and not self._can_hold(key, item.get("value")):
            status = 500
        if status:
            return Refused(status, "ERR_STATE_SAVE", "failed saving state: possible etag mismatch")
        entry = self.entries.setdefault(self.kind.key(key), Entry(""))
        self._writes += 1
        entry.data, entry.version = self.kind.stored(item.get("value")), entry.version + 1
        entry.etag = str(entry.version) if self.kind.counts_writes else str(uuid.UUID(int=self._writes, version=4))
        entry.first_write = entry.first_write or first_write
        self._set_ttl(key, entry, None if ttl is None else int(str(ttl)))
        value = item.get("value")
        data = value if isinstance(value, str) and is_json(value) else entry.data
        self._notify(Commit(key, data, None if ttl is None else str(ttl), by))
        return None

    def _can_hold(self, key: str, value: JSON) -> bool:
        longest = self.kind.longest_key_chars
        nul = not self.kind.nul_in_objects and not isinstance(value, str) and "\\u0000" in encoded(value)
        return not nul and (longest is None or len(key) <= longest)

    def _set_ttl(self, key: str, entry: Entry, ttl: int | None) -> None:
        """Set the time of expiry with the value, or leave it to a step of its own."""
        if not self.kind.counts_writes:
            forever = ttl is None or (ttl < 0 and not self.kind.forever_is_past)
            entry.expires_at = None if forever else self.clock() + (ttl or 0)
        elif ttl is not None:  # a write without a TTL keeps the old one

            def step() -> None:
                if entry := self.live(key):
                    entry.expires_at = self.clock() + ttl if ttl > 0 else None

            self._ttl_steps.append(step)

    def _run_ttl_steps(self) -> None:
        steps, self._ttl_steps = self._ttl_steps, []
        for step in steps:
            step()

    def _notify(self, commit: Commit) -> None:
        for listener in self.on_commit:
            listener(commit)


def bulk_item(key: str, entry: Entry | None) -> str:
    """One item of a bulk read, as JSON text."""
    if entry is None:
        return encoded({"key": key})
    if not entry.data:
        return encoded({"key": key, "etag": entry.etag})
    return f'{{"key":{encoded(key)},"data":{entry.data},"etag":{encoded(entry.etag)}}}'


def value_of(entry: Entry) -> JSON:
    """The value of an entry as the service reads it: a string with JSON is that JSON, other text stays a text."""
    value: JSON = entry.data
    while isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            break
    return value
