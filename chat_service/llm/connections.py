"""Pooled connections to the model's endpoint. aiohttp makes a call for half the CPU time of httpx2's own transport."""

from collections.abc import AsyncIterator
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2
from httpx_aiohttp.httpx2 import AiohttpTransport

MAX_CONNECTIONS = 256
"""Most connections at once: as many as turns run."""
IDLE_SECONDS = 30.0
"""Idle connections close after this time in seconds, before most endpoints close them."""
MAX_HEADER_BYTES = 64 * 1024
"""Bytes of one header of a response."""
MAX_HEADERS = 1_000
"""Headers of a response."""


def endpoint_transport(base_url: str) -> httpx2.AsyncBaseTransport:
    """The pooled transport to `base_url`. It uses the environment's proxy unless `no_proxy` excludes the host."""
    url = httpx2.URL(base_url)
    proxy = None if url.host in ("127.0.0.1", "::1") or proxy_bypass(url.host) else getproxies().get(url.scheme)
    tls = httpx2.create_ssl_context()

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=IDLE_SECONDS, ssl=tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADERS,
        )

    return _PlainErrors(AiohttpTransport(client=session, proxy=httpx2.Proxy(proxy) if proxy else None))


class _PlainErrors(httpx2.AsyncBaseTransport):
    """Wraps the transport. A connection that breaks is RemoteProtocolError or NetworkError, and never a timeout."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = await self._inner.handle_async_request(request)
        except _NOT_PLAIN as error:
            failure = _plain(error)
        else:
            if isinstance(response.stream, httpx2.AsyncByteStream):
                response.stream = _PlainErrorsStream(response.stream)
            return response
        raise failure

    async def aclose(self) -> None:
        await self._inner.aclose()


class _PlainErrorsStream(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._inner:
                yield chunk
        except _NOT_PLAIN as error:
            failure = _plain(error)
        else:
            return
        raise failure

    async def aclose(self) -> None:
        await self._inner.aclose()


_NOT_PLAIN = (httpx2.TimeoutException, aiohttp.ClientError)


def _plain(error: Exception) -> Exception:
    """The error to raise. The transport calls a broken connection `ConnectTimeout`, and lets aiohttp's own errors out.

    It is raised outside of the `except`: what is above reads the whole chain, and aiohttp's errors hold text of the
    endpoint.
    """
    cause = error.__cause__ if isinstance(error, httpx2.TimeoutException) else error
    return error if isinstance(cause, TimeoutError) else httpx2.RemoteProtocolError(type(cause).__name__)
