"""One call on a channel: the request passed on as it comes, the answer passed back as it comes."""

import asyncio

from .channel import Channel, ChannelBroken, Reply
from .forwarding import passed_on, trace_of
from .http import BODY_LIMIT_BYTES, Disconnected, Headers, Request, Send

USUALLY_WITHOUT_BODY = ("GET", "HEAD", "DELETE", "OPTIONS", "PROPFIND", "SEARCH")
STREAM_TYPE = (b"content-type", b"text/event-stream")
BINARY_TYPE = (b"content-type", b"application/octet-stream")
SNIFFED_BYTES = 512
_BINARY = frozenset(range(0x20)) - {0x09, 0x0A, 0x0C, 0x0D, 0x1B}


class BodyTooLarge(Exception):
    """The request's body is over the limit."""


class CutOff(Exception):
    """The app's answer ended before its end: so must ours."""


async def relay(request: Request, send: Send, channel: Channel, path: str, extra: Headers) -> None:
    """Carry a call. Raises ChannelBroken or BodyTooLarge before anything was answered, CutOff after that."""
    await _pass_request(request, channel, path, extra)
    watch = asyncio.create_task(_abort_when_gone(request, channel))
    try:
        await _pass_answer(request, await channel.head(), channel, send)
    finally:
        watch.cancel()


async def _pass_request(request: Request, channel: Channel, path: str, extra: Headers) -> None:
    part, more = await request.next_part()
    length = request.header(b"content-length")
    chunked = False
    headers = [(b"host", b"127.0.0.1:%d" % channel.port), *_request_headers(request), *extra]
    if length and length != b"0":
        headers.append((b"content-length", length))
    elif part or more or request.method not in USUALLY_WITHOUT_BODY:
        chunked = True
        headers.append((b"transfer-encoding", b"chunked"))
    target = path.encode() + (b"?" + request.query if request.query else b"")
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    channel.begin(request.method, b"%b %b HTTP/1.1\r\n%b\r\n" % (request.method.encode(), target, lines))
    size = 0
    while True:
        size += len(part)
        if size > BODY_LIMIT_BYTES:
            raise BodyTooLarge
        if part:
            await channel.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
        if not more:
            break
        part, more = await request.next_part()
    if chunked:
        await channel.write(b"0\r\n\r\n")


def _request_headers(request: Request) -> Headers:
    headers = passed_on(request.headers) + trace_of(request.headers)
    if request.header(b"user-agent") is None:
        headers.append((b"user-agent", b"Go-http-client/1.1"))
    return headers


async def _abort_when_gone(request: Request, channel: Channel) -> None:
    try:
        while True:
            await request.next_part()
    except Disconnected:
        channel.abort()


async def _pass_answer(request: Request, reply: Reply, channel: Channel, send: Send) -> None:
    part = await channel.next_part()
    headers = _answer_headers(request, reply, part)
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    try:
        while part is not None:
            last = reply.complete and not reply.parts
            await send({"type": "http.response.body", "body": part, "more_body": not last})
            if last:
                return
            part = await channel.next_part()
        await send({"type": "http.response.body", "body": b""})
    except ChannelBroken as problem:
        raise CutOff from problem


def _answer_headers(request: Request, reply: Reply, start: bytes | None) -> Headers:
    headers = passed_on(reply.headers)
    headers += [header for header in trace_of(request.headers) if header[0] == b"tracestate"]
    return headers
