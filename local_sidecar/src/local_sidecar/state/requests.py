"""The operations that the requests to one store ask for."""

from dataclasses import dataclass

from local_sidecar.errors import ApiError, malformed
from local_sidecar.http import Request
from local_sidecar.state.bodies import Fields, document_of, fields_of, items_of, strings_of, text_of, wrong_type
from local_sidecar.state.encodings import Encoding
from local_sidecar.state.json_values import Document
from local_sidecar.state.operations import Operation

_METADATA_PREFIX = "metadata."


@dataclass(frozen=True, slots=True)
class RequestReader:
    """Reads requests to the state of one app, whose keys get the app id as a prefix. Raises ApiError 400."""

    app_id: str
    encoding: Encoding

    def stored_key(self, key: str) -> str:
        """The key in the store. Raises ApiError 400 for a key that could belong to another app."""
        if "||" in key:
            why = f"api error: code = InvalidArgument desc = input key/keyPrefix '{key}' can't contain '||'"
            raise malformed(why, "DAPR_STATE_ILLEGAL_KEY")
        return f"{self.app_id}||{key}"

    def requested_key(self, stored: str) -> str:
        """The key as requests name it."""
        return stored.removeprefix(f"{self.app_id}||")

    async def saves(self, request: Request) -> list[Operation]:
        """The operations of a save."""
        document = document_of(await request.body(), self.encoding)
        entries = [fields_of(item) for item in items_of(document.value)]
        if not all(text_of(entry, "key") for entry in entries):
            raise malformed('"key" is a required field')
        metadata = _query_metadata(request)
        return [self._operation(document, entry, metadata) for entry in entries]

    def deletion(self, request: Request, key: str) -> Operation:
        """The operation of a deletion. `If-Match` states the etag."""
        query = request.query_values()
        etag = (request.header(b"if-match") or b"").decode("latin-1")
        options = (query.get("concurrency", ""), query.get("consistency", ""))
        return Operation(self.stored_key(key), None, etag, *options)

    async def keys(self, request: Request) -> list[str]:
        """The stored keys of a bulk read."""
        fields = fields_of(document_of(await request.body(), self.encoding).value)
        if not isinstance(fields.get("parallelism"), int | None):
            raise wrong_type(fields["parallelism"], "int")
        strings_of(fields, "metadata")
        keys: list[str] = []
        for key in items_of(fields.get("keys")):
            if not isinstance(key, str | None):
                raise wrong_type(key, "string")
            keys.append(self.stored_key(key or ""))
        return keys

    async def transaction(self, request: Request) -> list[Operation]:
        """The operations of a transaction, in order."""
        document = document_of(await request.body(), self.encoding)
        metadata = _query_metadata(request)
        operations: list[Operation] = []
        for item in items_of(fields_of(document.value).get("operations")):
            fields = fields_of(item)
            kind = text_of(fields, "operation")
            if kind not in ("upsert", "delete"):
                raise ApiError(400, "ERR_NOT_SUPPORTED_STATE_OPERATION", f"operation type {kind} not supported")
            entry = fields_of(fields.get("request"))
            operations.append(self._operation(document, entry, metadata, saves=kind == "upsert", transactional=True))
        return operations

    def _operation(
        self,
        document: Document,
        entry: Fields,
        query_metadata: dict[str, str],
        *,
        saves: bool = True,
        transactional: bool = False,
    ) -> Operation:
        """An entry of a request as an operation. A missing value is null. Metadata in the query outranks its own."""
        options = fields_of(entry.get("options"))
        metadata = strings_of(entry, "metadata") | query_metadata
        text_of(entry, "contenttype")
        return Operation(
            key=self.stored_key(text_of(entry, "key")),
            value=document.written(entry.get("value")) if saves else None,
            etag=text_of(entry, "etag"),
            concurrency=text_of(options, "concurrency"),
            consistency=text_of(options, "consistency"),
            ttl=metadata.get("ttlInSeconds", ""),
            transactional=transactional,
        )


def _query_metadata(request: Request) -> dict[str, str]:
    values = request.query_values()
    return {name.removeprefix(_METADATA_PREFIX): values[name] for name in values if name.startswith(_METADATA_PREFIX)}
