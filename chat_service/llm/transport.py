"""The way to the model's endpoint: retries where nothing was produced, and lets only model answers through.

The one layer of retries: the openai client on top is told to make none.
"""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from urllib.request import getproxies, proxy_bypass

import httpx2
from pydantic_core import from_json

from llm.errors import NotAModelAnswer

ATTEMPTS = 3
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 2.0  # asked to wait longer, the transport gives the answer back and the client decides
CONNECT_TIMEOUT_SECONDS = 5.0
CONNECTIONS = httpx2.Limits(max_connections=256, max_keepalive_connections=256, keepalive_expiry=30.0)

_TRANSIENT = frozenset({429, 500, 502, 503, 529})
_STREAM_END = re.compile(rb'\[DONE\]|"finish_reason"\s*:\s*"')
_STREAM_WANTED = b'"stream":true'  # as the openai client writes it; within a message the quotes are escaped
_OVERLAP_BYTES = 64  # kept of each chunk, to find an end that two chunks share


def endpoint_transport(base_url: str) -> httpx2.AsyncBaseTransport:
    """The pooled transport to `base_url`, through the environment's proxy unless that is told to be passed by."""
    url = httpx2.URL(base_url)
    proxy = None if url.host in ("127.0.0.1", "::1") or proxy_bypass(url.host) else getproxies().get(url.scheme)
    return httpx2.AsyncHTTPTransport(limits=CONNECTIONS, proxy=proxy)


class ModelTransport(httpx2.AsyncBaseTransport):
    """Around a transport: every good answer is a chat completion, whole or streamed to its end."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The endpoint's answer, after at most ATTEMPTS."""
        for attempt in range(1, ATTEMPTS):
            pause = FIRST_PAUSE_SECONDS * 2 ** (attempt - 1) * random.uniform(0.5, 1.0)
            try:
                response = await self._inner.handle_async_request(request)
                wanted = _pause_wanted(response, pause)
                if wanted is None:
                    return await _checked(request, response)
                await response.aclose()
            except (httpx2.NetworkError, httpx2.RemoteProtocolError):
                wanted = pause
            await asyncio.sleep(wanted)
        return await _checked(request, await self._inner.handle_async_request(request))

    async def aclose(self) -> None:
        """Close the pool."""
        await self._inner.aclose()


def _pause_wanted(response: httpx2.Response, pause: float) -> float | None:
    """How long to wait before the next attempt; None where there is to be none."""
    if response.status_code not in _TRANSIENT:
        return None
    told = response.headers.get("retry-after")
    if told is None:
        return pause
    return float(told) if told.isdecimal() and float(told) <= LONGEST_PAUSE_SECONDS else None


async def _checked(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
    if response.status_code >= 300:
        return response
    content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "text/event-stream":
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _UncutStream(response.stream)
        return response
    is_whole = _STREAM_WANTED not in request.content and content_type.endswith("json")
    if not is_whole or not _is_completion(await response.aread()):
        await response.aclose()
        raise NotAModelAnswer("not a chat completion")
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


class _UncutStream(httpx2.AsyncByteStream):
    """A stream of events that fails where it ends before the model has."""

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
            raise httpx2.RemoteProtocolError("the stream ended before the model did")

    async def aclose(self) -> None:
        await self._inner.aclose()
