"""The routes of the state API. They respond with Dapr's statuses and error codes."""

from collections.abc import Mapping

from local_sidecar.errors import ApiError
from local_sidecar.http import JSON_TYPE, NO_CONTENT, Request, Response
from local_sidecar.state.bulk import bulk_body
from local_sidecar.state.operations import Refused
from local_sidecar.state.requests import RequestReader
from local_sidecar.state.store import Store, StoreError


class StateRoutes:
    """The state of one app, in its stores by name."""

    def __init__(self, app_id: str, stores: Mapping[str, Store]) -> None:
        self._stores = {name: (RequestReader(app_id, store.dialect.encoding), store) for name, store in stores.items()}

    async def get(self, name: str, key: str) -> Response:
        """The value with its etag, or 204."""
        reader, store = self._named(name)
        try:
            item = store.read(reader.stored_key(key))
        except StoreError as error:
            raise ApiError(500, "ERR_STATE_GET", f"fail to get {key} from state store {name}: {error}") from error
        if item is None:
            return NO_CONTENT
        expiry = store.dialect.shown_expiry(item).encode()
        shown = [(b"metadata.ttlexpiretime", expiry)] if expiry else []
        return Response(200, item.value, [JSON_TYPE, (b"etag", item.etag.encode()), *shown])

    async def save(self, request: Request, name: str) -> Response:
        """Save each entry on its own: a refused one does not keep the others from being written."""
        reader, store = self._named(name)
        if refusals := await store.write(await reader.saves(request)):
            worst = _most_telling(refusals)
            raise ApiError(worst.status, "ERR_STATE_SAVE", f"failed saving state in state store {name}: {worst}")
        return NO_CONTENT

    async def delete(self, request: Request, name: str, key: str) -> Response:
        """Delete a key. `If-Match` states the etag that it must have."""
        reader, store = self._named(name)
        for refusal in await store.write([reader.deletion(request, key)]):
            raise ApiError(refusal.status, "ERR_STATE_DELETE", f"failed deleting state with key {key}: {refusal}")
        return NO_CONTENT

    async def bulk(self, request: Request, name: str) -> Response:
        """Several values. A key that does not exist has no data."""
        reader, store = self._named(name)
        keys = await reader.keys(request)
        try:
            return Response(200, bulk_body(store, keys, reader.requested_key), [JSON_TYPE])
        except StoreError as error:
            raise ApiError(500, "ERR_STATE_BULK_GET", str(error)) from error

    async def transaction(self, request: Request, name: str) -> Response:
        """Carry out operations in order. What a refusal does to the others depends on the dialect."""
        reader, store = self._named(name)
        for refusal in await store.write(await reader.transaction(request)):
            raise ApiError(500, "ERR_STATE_TRANSACTION", f"error while executing state transaction: {refusal}")
        return NO_CONTENT

    def query(self, name: str) -> Response:
        """Refuse the query API, which Dapr offers for few stores only."""
        self._named(name)
        raise ApiError(500, "ERR_STATE_QUERY", f"state store {name} query failed: read keys by name instead")

    def _named(self, name: str) -> tuple[RequestReader, Store]:
        if not self._stores:
            message = f"state store {name} is not configured"
            raise ApiError(500, "ERR_STATE_STORE_NOT_CONFIGURED", message, "DAPR_STATE_NOT_CONFIGURED")
        if name not in self._stores:
            raise ApiError(400, "ERR_STATE_STORE_NOT_FOUND", f"state store {name} is not found", "DAPR_STATE_NOT_FOUND")
        return self._stores[name]


def _most_telling(refusals: list[Refused]) -> Refused:
    """The refusal to report: an invalid etag (400) before a mismatch (409) before a failure (500)."""
    return min(refusals, key=lambda refusal: refusal.status)
