"""The HTTP transport to the model's endpoint. It retries failed requests and accepts only chat completions.

This is the only layer that retries: the openai client above it is configured to make no retries.
"""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from urllib.request import getproxies, proxy_bypass

import httpx2
from pydantic_core import from_json

from llm.errors import NotAChatCompletion

MAX_ATTEMPTS = 3
"""Attempts for one request. More attempts would use up most of a turn's time limit."""
FIRST_PAUSE_SECONDS = 0.25
"""Pause in seconds before the first retry; it doubles for each further retry. Short, because a user is waiting."""
LONGEST_PAUSE_SECONDS = 2.0
"""Longest Retry-After in seconds that the transport waits for. For a longer one the client gets the error at once."""
CONNECT_TIMEOUT_SECONDS = 5.0
"""Time limit in seconds for a connection. A distant endpoint needs a second; TCP resends a lost packet within three."""
CONNECTIONS = httpx2.Limits(max_connections=256, max_keepalive_connections=256, keepalive_expiry=30.0)
"""Limits of the pool. 256 running turns; idle connections close after 30 s, before most endpoints close them."""

_TRANSIENT = frozenset({429, 500, 502, 503, 529})
_STREAM_END = re.compile(rb'\[DONE\]|"finish_reason"\s*:\s*"')
_STREAM_REQUESTED = b'"stream":true'
"""As the openai client writes it. Inside a message the quotes are escaped, so a message cannot match."""
_OVERLAP_BYTES = 64
"""Bytes kept of each chunk, to find an end marker that is split between two chunks. The longest marker is shorter."""


def endpoint_transport(base_url: str) -> httpx2.AsyncBaseTransport:
    """The pooled transport to `base_url`. It uses the environment's proxy unless `no_proxy` excludes the host."""
    url = httpx2.URL(base_url)
    proxy = None if url.host in ("127.0.0.1", "::1") or proxy_bypass(url.host) else getproxies().get(url.scheme)
    return httpx2.AsyncHTTPTransport(limits=CONNECTIONS, proxy=proxy)


class ModelTransport(httpx2.AsyncBaseTransport):
    """Wraps a transport. Every successful response is a chat completion, either whole or a stream with its end."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The endpoint's response, after at most MAX_ATTEMPTS. Raises NotAChatCompletion for any other success."""
        for attempt in range(1, MAX_ATTEMPTS):
            backoff = FIRST_PAUSE_SECONDS * 2 ** (attempt - 1) * random.uniform(0.5, 1.0)
            try:
                response = await self._inner.handle_async_request(request)
                pause = _retry_pause(response, backoff)
                if pause is None:
                    return await _checked(request, response)
                await response.aclose()
            except (httpx2.NetworkError, httpx2.RemoteProtocolError):
                pause = backoff
            await asyncio.sleep(pause)
        return await _checked(request, await self._inner.handle_async_request(request))

    async def aclose(self) -> None:
        """Close the pool."""
        await self._inner.aclose()


def _retry_pause(response: httpx2.Response, backoff: float) -> float | None:
    """Seconds to wait before the next attempt; None if the response is final."""
    if response.status_code not in _TRANSIENT:
        return None
    retry_after = response.headers.get("retry-after")
    if retry_after is None:
        return backoff
    is_short = retry_after.isdecimal() and float(retry_after) <= LONGEST_PAUSE_SECONDS
    return float(retry_after) if is_short else None


async def _checked(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
    if response.status_code >= 300:
        return response
    content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "text/event-stream":
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _CompleteStream(response.stream)
        return response
    is_whole = _STREAM_REQUESTED not in request.content and content_type.endswith("json")
    if not is_whole or not _is_completion(await response.aread()):
        await response.aclose()
        raise NotAChatCompletion("not a chat completion")
    return response


def _is_completion(body: bytes) -> bool:
    try:
        completion: object = from_json(body)
    except ValueError:
        return False
    choices = completion.get("choices") if isinstance(completion, dict) else None
    if not isinstance(choices, list):
        return False
    return all(isinstance(choice, dict) and isinstance(choice.get("message"), dict) for choice in choices)


class _CompleteStream(httpx2.AsyncByteStream):
    """A stream of events that raises RemoteProtocolError if it ends without an end marker."""

    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        has_ended = False
        tail = b""
        async for chunk in self._inner:
            has_ended = has_ended or _STREAM_END.search(tail + chunk) is not None
            tail = chunk[-_OVERLAP_BYTES:]
            yield chunk
        if not has_ended:
            raise httpx2.RemoteProtocolError("the stream ended before the model's reply did")

    async def aclose(self) -> None:
        await self._inner.aclose()
