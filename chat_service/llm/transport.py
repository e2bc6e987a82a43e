"""What every response of the model's endpoint goes through: failed requests are retried, only completions accepted.

This is the only layer that retries.
"""

import asyncio
import random
from collections.abc import AsyncIterator

import httpx2

from llm.completions import END_MARKER, CompletionStream, read_completion
from llm.errors import NotAChatCompletion
from llm.run_record import note_reply
from llm.sse import EventReader, EventTooLarge, ServerSentEvent

MAX_ATTEMPTS = 3
"""Attempts for one request. More attempts would use up most of a turn's time limit."""
FIRST_PAUSE_SECONDS = 0.25
"""Pause in seconds before the first retry; it doubles for each further retry. Short, because a user is waiting."""
LONGEST_PAUSE_SECONDS = 2.0
"""Longest Retry-After in seconds that the transport waits for. For a longer one the client gets the error at once."""
AFTER_FINISH_SECONDS = 2.0
"""Longest wait in seconds for more of a stream whose reply is whole. The end marker follows at once, if at all."""
MAX_RESPONSE_BYTES = 8 * 1024 * 1024
"""Longest response, in bytes. A streamed reply takes some 250 bytes for each piece of a few characters; so many pieces
are a reply longer than memory keeps. With 256 turns at once, all together are 2 GB at worst."""
MAX_ERROR_BYTES = 64 * 1024
"""Bytes of an endpoint's error that are read. Its code and its message stand at the beginning."""

_TRANSIENT = frozenset({429, 500, 502, 503, 529})
_STREAM_REQUESTED = b'"stream":true'
"""As the client above writes it. Inside a message the quotes are escaped, so a message cannot match."""
_BODY_HEADERS = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})
"""Headers that describe how a body was sent. They do not hold for the body that replaces it."""


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
    """The response with a body that can be trusted. An endpoint's error keeps its status and a part of its body."""
    if response.status_code >= 300:
        return _replaced(response, content=await _error_body(response))
    is_stream_requested = _STREAM_REQUESTED in request.content
    content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if is_stream_requested and content_type == "text/event-stream":
        return _replaced(response, stream=_CheckedStream(response))
    if is_stream_requested or not content_type.endswith("json"):
        await response.aclose()
        raise NotAChatCompletion("not a chat completion")
    body = await _body(response, MAX_RESPONSE_BYTES + 1)
    if len(body) > MAX_RESPONSE_BYTES:
        raise NotAChatCompletion("too long")
    content, finish = read_completion(body)
    note_reply(finish)
    return _replaced(response, content=content)


async def _error_body(response: httpx2.Response) -> bytes:
    """The beginning of an error's body; nothing if it cannot be decompressed: the status says what is wrong."""
    try:
        return await _body(response, MAX_ERROR_BYTES)
    except NotAChatCompletion:
        return b""


async def _body(response: httpx2.Response, max_bytes: int) -> bytes:
    """The first bytes of the body, decompressed. The connection is closed if there are more.

    Raises NotAChatCompletion if the body cannot be decompressed.
    """
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) >= max_bytes:
                break
    except httpx2.DecodingError as error:
        raise NotAChatCompletion("not compressed as its headers say") from error
    finally:
        await response.aclose()
    return bytes(body[:max_bytes])


def _replaced(
    response: httpx2.Response, *, content: bytes | None = None, stream: httpx2.AsyncByteStream | None = None
) -> httpx2.Response:
    """The response with another body, which is not compressed."""
    headers = [(name, value) for name, value in response.headers.raw if name.lower() not in _BODY_HEADERS]
    return httpx2.Response(
        response.status_code, headers=headers, content=content, stream=stream, extensions=response.extensions
    )


class _CheckedStream(httpx2.AsyncByteStream):
    """The events of a streamed completion. Raises RemoteProtocolError if it ends before the reply does.

    Once the reply is whole, nothing that happens to the connection matters.
    """

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._bytes = response.aiter_bytes()
        self._completion = CompletionStream()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The events. After END_MARKER the SDK reads the stream again to its end, and the connection is used again."""
        if self._completion.has_end_marker:
            async for _ in self._chunks():
                pass
            return
        async for event in self._events():
            data = self._completion.read(event)
            if self._completion.has_end_marker:
                break
            yield _as_event(data)
        if not self._completion.is_whole:
            raise httpx2.RemoteProtocolError("the stream ended before the model's reply did")
        note_reply(self._completion.finish)
        if self._completion.has_end_marker:
            yield _as_event(END_MARKER)

    async def _events(self) -> AsyncIterator[ServerSentEvent]:
        reader = EventReader()
        received = 0
        try:
            async for chunk in self._chunks():
                received += len(chunk)
                for event in reader.feed(chunk):
                    yield event
                if received > MAX_RESPONSE_BYTES:
                    raise NotAChatCompletion("too long")
            for event in reader.end():
                if event.data == END_MARKER:  # any other last event without its blank line is cut off
                    yield event
        except EventTooLarge as error:
            raise NotAChatCompletion("too long") from error
        except httpx2.DecodingError as error:
            raise NotAChatCompletion("not compressed as its headers say") from error

    async def _chunks(self) -> AsyncIterator[bytes]:
        while True:
            is_whole = self._completion.is_whole
            try:
                async with asyncio.timeout(AFTER_FINISH_SECONDS if is_whole else None):
                    chunk = await anext(self._bytes, None)
            except (httpx2.TransportError, httpx2.DecodingError, TimeoutError):
                if not is_whole:
                    raise
                return
            if chunk is None:
                return
            yield chunk

    async def aclose(self) -> None:
        await self._response.aclose()


def _as_event(data: str) -> bytes:
    return b"".join(b"data: " + line.encode() + b"\n" for line in data.split("\n")) + b"\n"
