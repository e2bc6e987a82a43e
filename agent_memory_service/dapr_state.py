"""Dapr's state API over HTTP: the one module that knows its wire.

The facts are from https://docs.dapr.io/reference/api/state_api/ and from exchanges recorded in
`tests/contract/`: a missing key is 204, a 404 comes from the sidecar itself, a save may be answered
409 or 500 although it was done, and a bulk read is 200 with the store down.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from urllib.parse import quote

import httpx
from aiohttp import ClientError, ClientSession, DummyCookieJar, TCPConnector
from httpx_aiohttp import AiohttpTransport
from pydantic_core import from_json, to_json

from documents import Document
from errors import StoreUnavailable, TooLarge
from settings import Settings

CALL_TIMEOUT_SECONDS = 1.5
"""For one call: the store's own timeouts (components/statestore.yaml) make it fail within one second."""
TIME_LIMITS = {"timeout": {"connect": 1.0}}
"""The sidecar is on this machine. None on reads, the whole call has one: aiohttp's could fire on an idle pooled
connection after a large answer, and fail the next call."""
KEEPALIVE_SECONDS = 100.0
"""Shorter than the sidecar's, so that it is not the one to close a connection."""
REQUEST_BYTES = 4 * 1024 * 1024
"""Dapr refuses a larger request."""
ABSENT = "2147483647"
"""An etag no key ever reaches: a save with it creates the key, and is refused where the key exists."""
FOREVER = -1
"""A TTL that takes away the one a key may have; a save that states none leaves an older one running."""
BULK_SAVE_BYTES = 512 * 1024
"""Of several documents saved in one call: short enough for a slow store's time limit, few enough calls."""
BULK_KEYS = 200
"""Keys of one bulk read: half a megabyte of pages where messages are short."""
BULK_READS_AT_ONCE = 4
BULK_TIMEOUT_SECONDS = 10.0
"""For one bulk read: pages of the longest messages are a megabyte each. A store that is down has failed the head's
read before."""
CALLS_AT_ONCE = 16
"""Calls one operation has under way at once when it deletes many keys."""

logger = logging.getLogger(__name__)

trace_headers: ContextVar[dict[str, str]] = ContextVar("trace_headers")
"""The W3C trace context of the request being served, passed on to the sidecar."""


class EtagMismatch(Exception):
    """The key was not as the etag says, or it is now because this very write was done: read again and look."""


class WriteUncertain(StoreUnavailable):
    """A write failed or got no answer. It may have been done all the same: read again and look."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as it was read, with the etag that a conditional save of its successor names."""

    value: Document
    etag: str


def connect() -> httpx.AsyncBaseTransport:
    """The pooled way to the sidecar of this process. It opens no socket before its first call.

    httpx's transport without httpx's client around it: cookies, redirects and authentication are not for a sidecar, and
    looking for them costs a fifth of a call (docs/benchmarks.md).
    """

    def session() -> ClientSession:
        connector = TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_SECONDS)
        return ClientSession(connector=connector, cookie_jar=DummyCookieJar(), trust_env=False)

    return AiohttpTransport(client=session, verify=False, trust_env=False)


class DaprState:
    """The documents of one state store: read and saved whole, by key, each with an etag."""

    def __init__(self, transport: httpx.AsyncBaseTransport, settings: Settings) -> None:
        self._transport = transport
        self._url = f"{settings.sidecar_url}/v1.0/state/{quote(settings.state_store, safe='')}"
        self._save_url = httpx.URL(self._url)
        self._bulk_url = httpx.URL(f"{self._url}/bulk")
        self._headers = {"content-type": "application/json"}
        if settings.dapr_api_token:
            self._headers["dapr-api-token"] = settings.dapr_api_token

    async def get(self, key: str) -> Stored | None:
        """The document at `key`, or None. Raises StoreUnavailable."""
        answer = await self._call("GET", self._key_url(key))
        if answer.status_code == 204:
            return None
        if answer.status_code != 200:
            raise StoreUnavailable
        return Stored(_document(answer.content), answer.headers.get("etag", ""))

    async def get_many(self, keys: Sequence[str]) -> list[Document | None]:
        """The documents at `keys`, in their order, None for a missing one. Raises StoreUnavailable."""
        chunks = [keys[at : at + BULK_KEYS] for at in range(0, len(keys), BULK_KEYS)]
        found: list[Document | None] = []
        for at in range(0, len(chunks), BULK_READS_AT_ONCE):
            for part in await asyncio.gather(*map(self._get_chunk, chunks[at : at + BULK_READS_AT_ONCE])):
                found += part
        return found

    async def save(self, key: str, value: Document, etag: str | None, ttl_seconds: int = FOREVER) -> None:
        """Write `value` at `key` where its etag still is `etag`; None writes over whatever is there.

        Raises EtagMismatch and WriteUncertain: after either the write may have been done. Raises TooLarge where
        nothing was sent.
        """
        item: Document = {"key": key, "value": value, "metadata": {"ttlInSeconds": str(ttl_seconds)}}
        if etag is not None:
            # The option `first-write` is not needed for the etag to count, and would mark the key: every later save
            # without an etag would fail.
            item["etag"] = etag
        await self._save([to_json(item)])

    async def save_all(self, items: Iterable[tuple[str, Document]]) -> None:
        """Write each document at its key, over whatever is there; not atomic. Raises WriteUncertain."""
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
        """Remove what there is at `keys`; a missing key is no error. Raises StoreUnavailable."""
        present = [key for key, document in zip(keys, await self.get_many(keys), strict=True) if document is not None]
        for at in range(0, len(present), CALLS_AT_ONCE):
            await asyncio.gather(*map(self._delete, present[at : at + CALLS_AT_ONCE]))

    async def _delete(self, key: str) -> None:
        answer = await self._call("DELETE", self._key_url(key))
        if answer.status_code != 204:
            raise StoreUnavailable

    async def _get_chunk(self, keys: Sequence[str]) -> list[Document | None]:
        body = to_json({"keys": keys, "parallelism": CALLS_AT_ONCE})
        answer = await self._call("POST", self._bulk_url, body, BULK_TIMEOUT_SECONDS)
        if answer.status_code != 200:
            raise StoreUnavailable
        items = {item["key"]: item for item in from_json(answer.content)}
        if len(items) != len(set(keys)) or any(item.get("error") for item in items.values()):
            raise StoreUnavailable
        return [items[key].get("data") for key in keys]

    async def _save(self, items: Sequence[bytes]) -> None:
        body = b"[" + b",".join(items) + b"]"
        if len(body) > REQUEST_BYTES:
            raise TooLarge("This is more than the store takes at once (4 MiB). Send a shorter history.")
        try:
            answer = await self._call("POST", self._save_url, body)
        except StoreUnavailable as error:
            raise WriteUncertain from error
        if answer.status_code == 409:
            raise EtagMismatch
        if answer.status_code != 204:
            raise WriteUncertain

    def _key_url(self, key: str) -> httpx.URL:
        """Where a key is read and deleted; it is quoted whole."""
        return httpx.URL(f"{self._url}/{quote(key, safe='')}")

    async def _call(
        self, method: str, url: httpx.URL, body: bytes | None = None, timeout_seconds: float = CALL_TIMEOUT_SECONDS
    ) -> httpx.Response:
        headers = self._headers | trace_headers.get({})
        request = httpx.Request(method, url, headers=headers, content=body, extensions=TIME_LIMITS)
        try:
            async with asyncio.timeout(timeout_seconds):
                answer = await self._transport.handle_async_request(request)
                await answer.aread()
        except (httpx.HTTPError, ClientError, OSError) as error:  # TimeoutError is an OSError
            # What kind of error it is says nothing about whether the request was carried out.
            logger.warning("store call failed: %s %s", method, type(error).__name__)
            raise StoreUnavailable from error
        if answer.status_code not in (200, 204, 409):
            logger.warning("store call failed: %s %d %s", method, answer.status_code, _error_code(answer.content))
        return answer


def _error_code(content: bytes) -> str:
    """The sidecar's `errorCode`; its message may quote keys and is left out of the log."""
    try:
        body = from_json(content)
    except ValueError:
        return "without a code"
    return str(body.get("errorCode")) if isinstance(body, dict) else "without a code"


def _document(content: bytes) -> Document:
    value = from_json(content)
    if not isinstance(value, dict):
        raise StoreUnavailable("The store holds something else under this key. Tell the operator; it was not changed.")
    return value
