"""The HTTP client for this service's sidecar: pooled connections and bounded responses.

Dapr service invocation: https://docs.dapr.io/reference/api/service_invocation_api/
"""

from typing import Any

import httpx
from aiohttp import ClientSession, DummyCookieJar, TCPConnector
from httpx_aiohttp import AiohttpTransport

import trace_context
from http_clients import BoundedResponses
from settings import Settings

CONNECT_TIMEOUT_SECONDS = 1.0
"""Time limit in seconds for a connection to the sidecar. It runs on the same machine.

There is no read timeout: aiohttp's could expire on an idle pooled connection after a large response and fail the next
call. Each call has its own time limit instead."""
MAX_CONNECTIONS = 256
"""Largest number of connections to the sidecar. It is the number of calls that can run at once."""
KEEPALIVE_SECONDS = 30.0
"""Seconds until an idle connection is closed. Shorter than the sidecar's time, so that this side closes first."""
MAX_RESPONSE_BYTES = 8 * 1024 * 1024
"""Longest response that is read, in bytes: twice what a session's end takes if each message is as long as memory keeps.
"""

_NOT_SENT = ("content", "data", "files", "params", "headers", "cookies")
_CONNECT_TIMEOUT = {"timeout": {"connect": CONNECT_TIMEOUT_SECONDS}}


def open_memory_http(settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """The client for calls of the memory service. It opens no socket before its first call."""
    token = settings.dapr_api_token
    return SidecarClient(
        f"{settings.sidecar_url}/v1.0/invoke/{settings.memory_app_id}/method/",
        {} if token is None else {"dapr-api-token": token.get_secret_value()},
        BoundedResponses(transport or _pooled_transport(), MAX_RESPONSE_BYTES),
    )


class SidecarClient(httpx.AsyncClient):
    """An httpx client for one address. It hands each request to its transport at once.

    httpx's own way looks for cookies, redirects and authentication, and puts each URL together from its parts. A
    sidecar needs none of it (docs/benchmarks.md).
    """

    def __init__(self, base_url: str, headers: dict[str, str], transport: httpx.AsyncBaseTransport) -> None:
        """`headers` are the same on every request; `build_request` adds those of the trace."""
        super().__init__(base_url=base_url, transport=transport, trust_env=False)
        self._base = base_url
        self._fixed_headers = headers
        self._sender = transport

    def build_request(self, method: str, url: httpx.URL | str, **parts: Any) -> httpx.Request:
        """The request for a path below the base URL, with `json` and `extensions`. Raises TypeError for other parts."""
        if others := [name for name in _NOT_SENT if parts.get(name) is not None]:
            raise TypeError(f"this client sends no {others[0]}")
        return httpx.Request(
            method,
            f"{self._base}{url}",
            headers={**self._fixed_headers, **trace_context.headers()},
            json=parts.get("json"),
            extensions={**_CONNECT_TIMEOUT, **(parts.get("extensions") or {})},
        )

    async def send(self, request: httpx.Request, *, stream: bool = False, **_options: Any) -> httpx.Response:
        """The response, with its body unless `stream` is set."""
        response = await self._sender.handle_async_request(request)
        response.request = request
        if not stream:
            try:
                await response.aread()
            except BaseException:  # a body that stalls or breaks would keep its connection
                await response.aclose()
                raise
        return response


def _pooled_transport() -> httpx.AsyncBaseTransport:
    def session() -> ClientSession:
        connector = TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=KEEPALIVE_SECONDS)
        return ClientSession(connector=connector, cookie_jar=DummyCookieJar(), trust_env=False)

    # `verify` is for a session that the transport opens itself. This one checks certificates.
    return AiohttpTransport(client=session, verify=False, trust_env=False)
