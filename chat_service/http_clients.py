"""Makes HTTP clients whose peers cannot fill this service's memory: bounded responses, no cookies."""

from collections.abc import AsyncIterator
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

UNBOUNDED = "unbounded"
"""Name of the request extension for a response that is passed on piece by piece and never held as a whole."""


def no_cookies() -> CookieJar:
    """A jar that stays empty. A client would otherwise keep every cookie of its peers and send it again."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


class BoundedResponses(httpx.AsyncBaseTransport):
    """Wraps a transport. A response with more than `max_bytes`, or a compressed one, fails while it is read.

    A success is not bounded if its request says UNBOUNDED.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, max_bytes: int) -> None:
        self._inner = inner
        self._max_bytes = max_bytes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The response, with a bounded body. Raises DecodingError for a compressed one: a few bytes can become many."""
        request.headers["accept-encoding"] = "identity"
        response = await self._inner.handle_async_request(request)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise httpx.DecodingError("the response is compressed", request=request)
        is_bounded = response.status_code != httpx.codes.OK or UNBOUNDED not in request.extensions
        if is_bounded and isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = _BoundedStream(response.stream, self._max_bytes)
        return response

    async def aclose(self) -> None:
        """Close the wrapped transport."""
        await self._inner.aclose()


class _BoundedStream(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, max_bytes: int) -> None:
        self._inner = inner
        self._max_bytes = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._max_bytes
        async for chunk in self._inner:
            left -= len(chunk)
            if left < 0:
                raise httpx.ReadError("the response is too long")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
