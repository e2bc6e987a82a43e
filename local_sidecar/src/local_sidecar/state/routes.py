"""The state API's routes: what was asked is carried out and answered with Dapr's statuses and codes."""

import json
import sqlite3
from collections.abc import Iterable

from local_sidecar.errors import ApiError
from local_sidecar.http import JSON_TYPE, NO_CONTENT, Request, Response
from local_sidecar.state.requests import Entry, Refused, check_key, keys_of, operations_of, saves_of
from local_sidecar.state.store import Store, Write
from local_sidecar.state.values import html_safe

METADATA_PREFIX = "metadata."


class StateRoutes:
    """The state of one app in the store that all apps of the machine share."""

    def __init__(self, app_id: str, stores: Iterable[str], store: Store) -> None:
        self._app_id = app_id
        self._prefix = f"{app_id}||"
        self._stores = frozenset(stores)
        self._store = store

    async def get(self, store: str, key: str) -> Response:
        """The value with its etag, or 204."""
        self._check_store(store)
        check_key(key)
        try:
            found = self._store.read(self._prefix + key)
        except sqlite3.Error as failure:
            raise ApiError(500, "ERR_STATE_GET", f"fail to get {key} from state store {store}: {failure}") from failure
        if found is None:
            return NO_CONTENT
        return Response(200, found[0], [JSON_TYPE, (b"etag", str(found[1]).encode())])

    async def save(self, request: Request, store: str) -> Response:
        """Save each entry on its own: one that is refused does not keep the others from being written."""
        self._check_store(store)
        entries = saves_of(await request.body(), _metadata(request))
        worst = _worst(await self._carry_out(entries))
        if worst:
            raise ApiError(worst.status, "ERR_STATE_SAVE", f"failed saving state in state store {store}: {worst}")
        return NO_CONTENT

    async def delete(self, request: Request, store: str, key: str) -> Response:
        """Delete a key; `If-Match` names the etag it must have."""
        self._check_store(store)
        check_key(key)
        query = request.query_values()
        etag = (request.header(b"if-match") or b"").decode("latin-1")
        entry = Entry(key, None, etag, query.get("concurrency", ""), query.get("consistency", ""), {})
        worst = _worst(await self._carry_out([entry]))
        if worst:
            raise ApiError(worst.status, "ERR_STATE_DELETE", f"failed deleting state with key {key}: {worst}")
        return NO_CONTENT

    async def bulk(self, request: Request, store: str) -> Response:
        """Several values in the order asked, always 200: a miss has no data, a failure an error."""
        self._check_store(store)
        keys = keys_of(await request.body())
        for key in keys:
            check_key(key)
        return Response(200, b"[" + b",".join(map(self._item, keys)) + b"]\n", [JSON_TYPE])

    async def transaction(self, request: Request, store: str) -> Response:
        """Carry out operations in order. As with Dapr's Redis there is no rollback: an etag stops only its own."""
        self._check_store(store)
        writes: list[Write] = []
        try:
            for operation, entry in operations_of(await request.body(), _metadata(request)):
                writes.append(self._operation(operation, entry))
            refused = not all(await self._store.write(writes)) and "an etag did not match; the others were written"
        except (Refused, sqlite3.Error) as failure:
            refused = str(failure)
        if refused:
            raise ApiError(500, "ERR_STATE_TRANSACTION", f"error while executing state transaction: {refused}")
        return NO_CONTENT

    def query(self, store: str) -> Response:
        """Dapr needs RedisJSON for this."""
        self._check_store(store)
        raise ApiError(500, "ERR_STATE_QUERY", f"state store {store} query failed: read keys by name instead")

    def _check_store(self, name: str) -> None:
        if not self._stores:
            message = f"state store {name} is not configured"
            raise ApiError(500, "ERR_STATE_STORE_NOT_CONFIGURED", message, "DAPR_STATE_NOT_CONFIGURED")
        if name not in self._stores:
            raise ApiError(400, "ERR_STATE_STORE_NOT_FOUND", f"state store {name} is not found", "DAPR_STATE_NOT_FOUND")

    def _item(self, key: str) -> bytes:
        named = b'{"key":' + html_safe(json.dumps(key, ensure_ascii=False).encode())
        try:
            found = self._store.read(self._prefix + key)
        except sqlite3.Error as failure:
            return named + b',"error":' + json.dumps(str(failure)).encode() + b"}"
        if found is None:
            return named + b"}"
        return named + b',"data":' + html_safe(found[0]) + b',"etag":"%d"}' % found[1]

    def _operation(self, operation: str, entry: Entry) -> Write:
        if operation not in ("upsert", "delete"):
            message = f"operation type {operation} not supported"
            raise ApiError(400, "ERR_NOT_SUPPORTED_STATE_OPERATION", message)
        check_key(entry.key)
        return entry.as_delete(self._prefix) if operation == "delete" else entry.as_save(self._prefix, marks=False)

    async def _carry_out(self, entries: list[Entry]) -> list[Refused]:
        refused: list[Refused] = []
        writes: dict[int, Write] = {}
        for place, entry in enumerate(entries):
            try:
                writes[place] = entry.checked(self._prefix)
            except Refused as refusal:
                refused.append(refusal)
        try:
            done = await self._store.write(list(writes.values()))
            problem = "another write came first"
        except sqlite3.Error as failure:
            done = [False] * len(writes)
            problem = str(failure)
        refused += [_not_written(entries[place], problem) for place, well in zip(writes, done, strict=True) if not well]
        return refused


def _not_written(entry: Entry, problem: str) -> Refused:
    """As Dapr has it, a write with an etag that fails for whatever reason is a mismatch, and so is any deletion."""
    if entry.etag or entry.value is None:
        return Refused(409, f"possible etag mismatch. error from state store: {problem}")
    return Refused(500, f"failed to set key {entry.key}: {problem}")


def _worst(refused: list[Refused]) -> Refused | None:
    """The one to report: those about etags first."""
    return next((refusal for refusal in refused if refusal.status < 500), refused[0] if refused else None)


def _metadata(request: Request) -> dict[str, str]:
    values = request.query_values()
    return {name.removeprefix(METADATA_PREFIX): values[name] for name in values if name.startswith(METADATA_PREFIX)}
