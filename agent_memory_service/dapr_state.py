"""Dapr's state API over HTTP. This is the only module that knows Dapr's wire.

The facts are from https://docs.dapr.io/reference/api/state_api/ and from the exchanges recorded in `tests/contract/`:
a missing key is 204; a 404 comes from the sidecar itself; a save may get the response 409 or 500 although it was done;
a bulk read gets 200 even if the store is down.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote

import httpx
from aiohttp import ClientError, ClientSession, DummyCookieJar, TCPConnector
from httpx_aiohttp import AiohttpTransport
from pydantic_core import from_json, to_json

import trace_context
from documents import Document
from errors import BodyTooLarge, StoreUnavailable
from settings import Settings

SidecarTransport: TypeAlias = httpx.AsyncBaseTransport
"""What sends the requests to the sidecar. Tests put a fake in its place."""

CALL_TIMEOUT_SECONDS = 1.5
"""Limit of one call, in seconds. The store's own timeouts (components/statestore.yaml) end it within one second."""
BULK_TIMEOUT_SECONDS = 10.0
"""Limit of one bulk read, in seconds: BULK_KEYS pages of the longest messages are megabytes. If the store is down, the
read of the head has failed before."""
CONNECT_TIMEOUT_SECONDS = 1.0
"""Limit of connecting, in seconds. The sidecar is on the same machine.

The transport gets no read timeout, as `_call` limits the whole call. aiohttp's read timeout can fire on an idle pooled
connection after a large response; then the next call fails."""
KEEPALIVE_SECONDS = 100.0
"""How long an idle connection is kept, in seconds. Shorter than the sidecar's limit, so that this side closes it."""
MAX_REQUEST_BYTES = 4 * 1024 * 1024
"""Largest body of one call, in bytes: Dapr refuses a larger one."""
BULK_SAVE_BYTES = 512 * 1024
"""Most bytes of documents in one bulk save: a slow store still finishes in time, and the calls stay few."""
BULK_KEYS = 200
"""Most keys in one bulk read: half a megabyte of pages if the messages are short."""
BULK_READS_AT_ONCE = 4
"""Most bulk reads of one operation at the same time. It bounds the memory that one request takes."""
CALLS_AT_ONCE = 16
"""Most deletes of one operation at the same time, and most reads that Dapr runs at the same time for a bulk read."""
ABSENT_ETAG = "2147483647"
"""An etag that no key ever reaches. A save with it creates a missing key and fails if the key exists."""
NO_TTL = "-1"
"""-1 clears any TTL; omitting it keeps the old one (Redis)."""

_EXTENSIONS = {"timeout": {"connect": CONNECT_TIMEOUT_SECONDS}}

logger = logging.getLogger("agent_memory_service.state")


class EtagMismatch(Exception):
    """The etag did not match. An earlier attempt of this write may be the reason: read again before a retry."""


class WriteUncertain(StoreUnavailable):
    """A write failed or got no response. It may have been done: read again before a retry."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A document with the etag it was read with. A conditional save names that etag."""

    value: Document
    etag: str


def connect() -> SidecarTransport:
    """Create a pooled transport to the sidecar. It opens no socket before its first call.

    It is httpx's transport without httpx's client. The client looks for cookies, redirects and authentication, which
    a sidecar does not use; that costs a fifth of a call (docs/benchmarks.md).
    """

    def session() -> ClientSession:
        connector = TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_SECONDS)
        return ClientSession(connector=connector, cookie_jar=DummyCookieJar(), trust_env=False)

    return AiohttpTransport(client=session, verify=False, trust_env=False)


class DaprState:
    """The documents of one state store. Each is read and saved whole, by key, with an etag."""

    def __init__(self, transport: SidecarTransport, settings: Settings) -> None:
        self._transport = transport
        self._url = f"{settings.sidecar_url}/v1.0/state/{quote(settings.state_store, safe='')}"
        self._save_url = httpx.URL(self._url)
        self._bulk_url = httpx.URL(f"{self._url}/bulk")
        self._headers = {"content-type": "application/json"}
        if settings.dapr_api_token:
            self._headers["dapr-api-token"] = settings.dapr_api_token.get_secret_value()

    async def get(self, key: str) -> Stored | None:
        """Return the document at `key`, None if the key is missing. Raises StoreUnavailable."""
        response = await self._call("GET", self._key_url(key))
        if response.status_code == 204:
            return None
        if response.status_code != 200:
            raise StoreUnavailable
        return Stored(_document(response.content), response.headers.get("etag", ""))

    async def get_many(self, keys: Sequence[str]) -> list[Document | None]:
        """Return the documents at `keys` in order, None for a missing key. Raises StoreUnavailable."""
        chunks = [keys[at : at + BULK_KEYS] for at in range(0, len(keys), BULK_KEYS)]
        found: list[Document | None] = []
        for at in range(0, len(chunks), BULK_READS_AT_ONCE):
            for part in await asyncio.gather(*map(self._get_chunk, chunks[at : at + BULK_READS_AT_ONCE])):
                found += part
        return found

    async def save(self, key: str, value: Document, etag: str | None, ttl_seconds: int | None = None) -> None:
        """Write `value` at `key` if the key still has `etag`; without an etag, overwrite. Without a TTL it stays.

        Raises EtagMismatch and WriteUncertain; after either, the write may have been done. Raises BodyTooLarge; then
        nothing was sent.
        """
        ttl = NO_TTL if ttl_seconds is None else str(ttl_seconds)
        item: Document = {"key": key, "value": value, "metadata": {"ttlInSeconds": ttl}}
        if etag is not None:
            # The etag is checked without the option `first-write` too. That option would mark the key, and Dapr would
            # then refuse every later save without an etag.
            item["etag"] = etag
        await self._save([to_json(item)])

    async def save_all(self, items: Iterable[tuple[str, Document]]) -> None:
        """Write each document at its key and overwrite what is there. Not atomic. Raises WriteUncertain."""
        batch: list[bytes] = []
        size = 0
        for key, value in items:
            item = to_json({"key": key, "value": value})
            if batch and size + len(item) > BULK_SAVE_BYTES:
                await self._save(batch)
                batch, size = [], 0
            batch.append(item)
            size += len(item)
        if batch:
            await self._save(batch)

    async def delete_all(self, keys: Sequence[str]) -> None:
        """Delete `keys`; a missing key is no error. Raises StoreUnavailable."""
        present = [key for key, document in zip(keys, await self.get_many(keys), strict=True) if document is not None]
        for at in range(0, len(present), CALLS_AT_ONCE):
            await asyncio.gather(*map(self._delete, present[at : at + CALLS_AT_ONCE]))

    async def _delete(self, key: str) -> None:
        response = await self._call("DELETE", self._key_url(key))
        if response.status_code != 204:
            raise StoreUnavailable

    async def _get_chunk(self, keys: Sequence[str]) -> list[Document | None]:
        body = to_json({"keys": keys, "parallelism": CALLS_AT_ONCE})
        response = await self._call("POST", self._bulk_url, body, BULK_TIMEOUT_SECONDS)
        if response.status_code != 200:
            raise StoreUnavailable
        items = {item["key"]: item for item in from_json(response.content)}
        if len(items) != len(set(keys)) or any(item.get("error") for item in items.values()):
            raise StoreUnavailable
        return [items[key].get("data") for key in keys]

    async def _save(self, items: Sequence[bytes]) -> None:
        body = b"[" + b",".join(items) + b"]"
        if len(body) > MAX_REQUEST_BYTES:
            raise BodyTooLarge("The store accepts at most 4 MiB in one request. Send a shorter history.")
        try:
            response = await self._call("POST", self._save_url, body)
        except StoreUnavailable as error:
            raise WriteUncertain from error
        if response.status_code == 409:
            raise EtagMismatch
        if response.status_code != 204:
            raise WriteUncertain

    def _key_url(self, key: str) -> httpx.URL:
        """The URL of a key. The whole key is quoted."""
        return httpx.URL(f"{self._url}/{quote(key, safe='')}")

    async def _call(
        self, method: str, url: httpx.URL, body: bytes | None = None, timeout_seconds: float = CALL_TIMEOUT_SECONDS
    ) -> httpx.Response:
        headers = {**self._headers, **trace_context.headers()}
        request = httpx.Request(method, url, headers=headers, content=body, extensions=_EXTENSIONS)
        try:
            async with asyncio.timeout(timeout_seconds):
                response = await self._transport.handle_async_request(request)
                await response.aread()
        except (httpx.HTTPError, ClientError, OSError) as error:  # TimeoutError is an OSError
            # The kind of error does not show whether the request was carried out.
            logger.warning("store call failed: %s %s", method, type(error).__name__)
            raise StoreUnavailable from error
        if response.status_code not in (200, 204, 409):
            logger.warning("store call failed: %s %d %s", method, response.status_code, _error_code(response.content))
        return response


def _error_code(content: bytes) -> str:
    """The sidecar's `errorCode`. Its message may quote keys, so it is not logged."""
    try:
        body = from_json(content)
    except ValueError:
        return "without a code"
    return str(body.get("errorCode")) if isinstance(body, dict) else "without a code"


def _document(content: bytes) -> Document:
    value = from_json(content)
    if not isinstance(value, dict):
        raise StoreUnavailable("The store has an unknown value under this key. Report it; the value was not changed.")
    return value
