"""One call on a channel: the request passed on as it comes, the answer passed back as it comes."""

import asyncio

from local_sidecar.http import BODY_LIMIT_BYTES, Disconnected, Headers, Request, Send
from local_sidecar.invocation.channel import Channel
from local_sidecar.invocation.forwarding import request_headers
from local_sidecar.invocation.replies import NoEvents, answer_headers
from local_sidecar.invocation.reply import ChannelBroken

USUALLY_WITHOUT_BODY = ("GET", "HEAD", "DELETE", "OPTIONS")
VERBS = (*USUALLY_WITHOUT_BODY, "PUT", "PATCH", "TRACE")


class BodyTooLarge(Exception):
    """The request's body is over the limit."""


class CutOff(Exception):
    """The app's answer ended before its end: so must ours."""


async def relay(request: Request, send: Send, channel: Channel, path: str, added: Headers, events: bool) -> None:
    """Carry a call; `events`: the caller asked for a stream of events, which Dapr passes on in a way of its own.

    Raises ChannelBroken, BodyTooLarge or NoEvents before anything was answered, CutOff after that.
    """
    await _pass_request(request, channel, path, added)
    watch = asyncio.create_task(_abort_when_gone(request, channel))
    try:
        await _pass_answer(request, channel, send, events)
    finally:
        watch.cancel()


async def _pass_request(request: Request, channel: Channel, path: str, added: Headers) -> None:
    method = request.method if request.method in VERBS else "POST"
    part, more = await request.next_part()
    headers = [(b"host", b"127.0.0.1:%d" % channel.port), *request_headers(request, added)]
    length = request.header(b"content-length") or b"0"
    chunked = length == b"0" and bool(part or more or method not in USUALLY_WITHOUT_BODY)
    if chunked:
        headers.append((b"transfer-encoding", b"chunked"))
    elif length != b"0":
        headers.append((b"content-length", length))
    target = path.encode() + (b"?" + request.query if request.query else b"")
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    channel.begin(method, b"%b %b HTTP/1.1\r\n%b\r\n" % (method.encode(), target, lines))
    try:
        await _pass_body(request, channel, part, more, chunked)
    except ChannelBroken:
        if not channel.reply.has_head:  # an app may answer without having read everything
            raise


async def _pass_body(request: Request, channel: Channel, part: bytes, more: bool, chunked: bool) -> None:
    size = len(part)
    while part or more:
        if size > BODY_LIMIT_BYTES:
            raise BodyTooLarge
        if part:
            await channel.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
        part, more = await request.next_part() if more else (b"", False)
        size += len(part)
    if chunked:
        await channel.write(b"0\r\n\r\n")


async def _abort_when_gone(request: Request, channel: Channel) -> None:
    try:
        while True:
            await request.next_part()
    except Disconnected:
        channel.abort()


async def _pass_answer(request: Request, channel: Channel, send: Send, events: bool) -> None:
    reply = await channel.head()
    part = await channel.next_part()
    if events and not (200 <= reply.status < 300 and part):
        raise NoEvents
    headers = answer_headers(request, reply, part or b"", events)
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
