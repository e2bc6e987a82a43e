"""The calls of Dapr's HTTP API that this service uses. This is the only module that knows Dapr's wire.

The facts are from https://docs.dapr.io/reference/api/state_api/ and from the exchanges recorded in `tests/contract/`:
a missing key is 204; a 404 comes from the sidecar itself; a save may get the response 409 or 500 although it was done;
a bulk read gets 200 even if the store is down.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias
from urllib.parse import quote

import httpx
from aiohttp import ClientError, ClientSession, DummyCookieJar, ServerDisconnectedError, TCPConnector
from httpx_aiohttp import AiohttpTransport
from opentelemetry.trace import SpanKind
from pydantic_core import from_json, to_json

import trace_context
from errors import BodyTooLarge, StoreUnavailable
from metrics import CallOutcome, Metrics, Operation
from settings import Settings
from tracing import span

SidecarTransport: TypeAlias = httpx.AsyncBaseTransport
"""What sends the requests to the sidecar. Tests put a fake in its place."""
SidecarResponse: TypeAlias = httpx.Response

CALL_TIMEOUT_SECONDS = 1.5
"""Limit of one call, in seconds. The store's own timeouts (components/statestore.yaml) end it within one second."""
BULK_TIMEOUT_SECONDS = 10.0
"""Limit of one bulk read, in seconds: many pages of the longest messages are megabytes. If the store is down, the read
of the head has failed before."""
CONNECT_TIMEOUT_SECONDS = 1.0
"""Limit of connecting, in seconds. The sidecar is on the same machine.

The transport gets no read timeout, as `_call` limits the whole call. aiohttp's read timeout can fire on an idle pooled
connection after a large response; then the next call fails."""
KEEPALIVE_SECONDS = 100.0
"""How long an idle connection is kept, in seconds. Shorter than the sidecar's limit, so that this side closes it."""
MAX_REQUEST_BYTES = 4 * 1024 * 1024
"""Largest body of one call, in bytes: Dapr refuses a larger one."""
BULK_PARALLELISM = 16
"""Most reads that Dapr runs at the same time for one bulk read."""
EXPECTED_STATUSES = (200, 204, 409)
"""Statuses that are not logged: success, and the etag did not match."""
_STRONG = "consistency=strong"
"""A store with replicas reads what was written last, and writes to more than one replica. Others ignore it."""

_EXTENSIONS = {"timeout": {"connect": CONNECT_TIMEOUT_SECONDS}}

logger = logging.getLogger("agent_memory_service.state")


def connect() -> SidecarTransport:
    """Create a pooled transport to the sidecar. It opens no socket before its first call.

    It is httpx's transport without httpx's client. The client looks for cookies, redirects and authentication, which
    a sidecar does not use; that costs a fifth of a call (docs/benchmarks.md).
    """

    def session() -> ClientSession:
        connector = TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_SECONDS)
        return ClientSession(connector=connector, cookie_jar=DummyCookieJar(), trust_env=False)

    # `verify` is for a session that the transport opens itself. This one checks certificates.
    return AiohttpTransport(client=session, verify=False, trust_env=False)


class ConnectionCut(StoreUnavailable):
    """The sidecar cut the connection instead of a response.

    Dapr 1.18 does so, and serves on, if a value of an encrypted store is shorter than any encrypted one.
    """


class DaprWire:
    """The calls to one state store. Each returns the sidecar's response, or raises StoreUnavailable without one."""

    def __init__(self, transport: SidecarTransport, settings: Settings, metrics: Metrics) -> None:
        self._transport = transport
        self._metrics = metrics
        self.store = settings.state_store
        self._sidecar_url = settings.sidecar_url
        self._url = f"{settings.sidecar_url}/v1.0/state/{quote(settings.state_store, safe='')}"
        self._save_url = httpx.URL(self._url)
        self._bulk_url = httpx.URL(f"{self._url}/bulk")
        self._metadata_url = httpx.URL(f"{settings.sidecar_url}/v1.0/metadata")
        self._headers = {"content-type": "application/json"}
        if settings.dapr_api_token:
            self._headers["dapr-api-token"] = settings.dapr_api_token.get_secret_value()

    async def get(self, key: str) -> httpx.Response:
        """Read one key: 200 with the header `etag`, 204 if the key is missing."""
        return await self._call("get", "GET", self._key_url(key))

    async def get_many(self, keys: Sequence[str], timeout_seconds: float = BULK_TIMEOUT_SECONDS) -> httpx.Response:
        """Read many keys: 200 with a list of items. Check each item for `error`."""
        body = to_json({"keys": keys, "parallelism": BULK_PARALLELISM})
        return await self._call("get_many", "POST", self._bulk_url, body, timeout_seconds=timeout_seconds)

    async def save(self, items: Sequence[bytes], expected: Collection[int] = EXPECTED_STATUSES) -> httpx.Response:
        """Write items of JSON: 204. Not atomic. Raises BodyTooLarge; then nothing was sent."""
        body = b"[" + b",".join(items) + b"]"
        if len(body) > MAX_REQUEST_BYTES:
            raise BodyTooLarge("The store accepts at most 4 MiB in one request. Send a shorter history.")
        return await self._call("save", "POST", self._save_url, body, expected=expected)

    async def delete(self, key: str, etag: str | None = None) -> httpx.Response:
        """Delete one key: 204, also if it is missing. With an etag: 409 if the key has another one."""
        condition = {} if etag is None else {"if-match": etag}
        return await self._call("delete", "DELETE", self._key_url(key), headers=condition)

    async def component_type(self) -> str | None:
        """The type of the store's component, such as `state.redis`, for messages only. None if it is unknown."""
        try:
            body = from_json((await self._call("metadata", "GET", self._metadata_url)).content)
            return next((str(item["type"]) for item in body["components"] if item["name"] == self.store), None)
        except (StoreUnavailable, ValueError, LookupError, TypeError):
            return None

    def _key_url(self, key: str) -> httpx.URL:
        """The URL of a key. The whole key is quoted."""
        return httpx.URL(f"{self._url}/{quote(key, safe='')}?{_STRONG}")

    async def _call(
        self,
        operation: Operation,
        method: str,
        url: httpx.URL,
        body: bytes | None = None,
        *,
        headers: dict[str, str] | None = None,
        timeout_seconds: float = CALL_TIMEOUT_SECONDS,
        expected: Collection[int] = EXPECTED_STATUSES,
    ) -> httpx.Response:
        outcome: CallOutcome = "no_response"
        started_at = time.perf_counter()
        with span(f"state {operation}", SpanKind.CLIENT) as current:
            try:
                response = await self._send(method, url, body, headers or {}, timeout_seconds)
                outcome = _outcome(response.status_code, expected)
            finally:
                self._metrics.store_called(operation, outcome, time.perf_counter() - started_at)
                current.set_attribute("outcome", outcome)
        if response.status_code not in expected:
            logger.warning("store call failed: %s %d %s", method, response.status_code, _error_code(response.content))
        return response

    async def _send(
        self, method: str, url: httpx.URL, body: bytes | None, headers: Mapping[str, str], timeout_seconds: float
    ) -> httpx.Response:
        """Return the response of the sidecar. Raises StoreUnavailable or ConnectionCut without one."""
        sent = {**self._headers, **trace_context.headers(), **headers}
        request = httpx.Request(method, url, headers=sent, content=body, extensions=_EXTENSIONS)
        try:
            async with asyncio.timeout(timeout_seconds):
                response = await self._transport.handle_async_request(request)
                try:
                    await response.aread()
                finally:  # a body that stalls or breaks would keep its connection
                    await response.aclose()
        except (httpx.HTTPError, ClientError, OSError) as error:  # TimeoutError is an OSError
            # The kind of error does not show whether the request was carried out.
            kind, address = type(error.__cause__ or error).__name__, self._sidecar_url
            logger.warning("store call failed: %s %s, no response of the sidecar at %s", method, kind, address)
            cut = isinstance(error.__cause__, ServerDisconnectedError)
            raise (ConnectionCut() if cut else StoreUnavailable()) from error
        return response


def _outcome(status: int, expected: Collection[int]) -> CallOutcome:
    """Return what a response means. An expected status other than success says that the etag did not match."""
    if status in (200, 204):
        return "ok"
    return "conflict" if status in expected else "failed"


def _error_code(content: bytes) -> str:
    """The sidecar's `errorCode`. Its message may quote keys, so it is not logged."""
    try:
        body = from_json(content)
    except ValueError:
        return "without a code"
    return str(body.get("errorCode")) if isinstance(body, dict) else "without a code"
