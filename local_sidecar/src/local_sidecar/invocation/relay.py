"""One call over one connection: the request is passed on and the response passed back as their parts arrive."""

import asyncio

from local_sidecar.http import BODY_LIMIT_BYTES, Disconnected, Headers, Request, Send
from local_sidecar.invocation.app_response import BrokenConnection
from local_sidecar.invocation.connection import AppConnection
from local_sidecar.invocation.headers import request_headers, response_headers

USUALLY_WITHOUT_BODY = ("GET", "HEAD", "DELETE", "OPTIONS")
VERBS = (*USUALLY_WITHOUT_BODY, "PUT", "PATCH", "TRACE")


class BodyTooLarge(Exception):
    """The body of the request is over the limit."""


class NoEvents(Exception):
    """The caller accepts only an event stream, and the app sent an error or an empty body."""


class CutOff(Exception):
    """The app's response broke off. The response to the caller must break off as well."""


async def relay(request: Request, send: Send, app: AppConnection, path: str, added: Headers, as_events: bool) -> None:
    """Carry a call. `as_events`: the caller accepts only an event stream.

    Raises BrokenConnection, BodyTooLarge or NoEvents while nothing is sent to the caller, and CutOff after that.
    """
    await _pass_request(request, app, path, added)
    watch = asyncio.create_task(_abort_when_gone(request, app))
    try:
        await _pass_response(request, app, send, as_events)
    finally:
        watch.cancel()


async def _pass_request(request: Request, app: AppConnection, path: str, added: Headers) -> None:
    method = request.method if request.method in VERBS else "POST"
    part, more = await request.next_part()
    headers = [(b"host", b"127.0.0.1:%d" % app.port), *request_headers(request, added)]
    length = request.header(b"content-length") or b"0"
    chunked = length == b"0" and bool(part or more or method not in USUALLY_WITHOUT_BODY)
    if chunked:
        headers.append((b"transfer-encoding", b"chunked"))
    elif length != b"0":
        headers.append((b"content-length", length))
    target = path.encode() + (b"?" + request.query if request.query else b"")
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    app.begin(method, b"%b %b HTTP/1.1\r\n%b\r\n" % (method.encode(), target, lines))
    try:
        await _pass_body(request, app, part, more, chunked)
    except BrokenConnection:
        if not app.response.has_head:  # an app may respond before it has read the whole body
            raise


async def _pass_body(request: Request, app: AppConnection, part: bytes, more: bool, chunked: bool) -> None:
    size = len(part)
    while part or more:
        if size > BODY_LIMIT_BYTES:
            raise BodyTooLarge
        if part:
            await app.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
        part, more = await request.next_part() if more else (b"", False)
        size += len(part)
    if chunked:
        await app.write(b"0\r\n\r\n")


async def _abort_when_gone(request: Request, app: AppConnection) -> None:
    try:
        while True:
            await request.next_part()
    except Disconnected:
        app.abort()


async def _pass_response(request: Request, app: AppConnection, send: Send, as_events: bool) -> None:
    response = await app.response_head()
    part = await app.next_part()
    if as_events and not (200 <= response.status < 300 and part):
        raise NoEvents("no response received from stream")
    headers = response_headers(request, response, part or b"", as_events)
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    try:
        while part is not None:
            last = response.complete and not response.parts
            await send({"type": "http.response.body", "body": part, "more_body": not last})
            if last:
                return
            part = await app.next_part()
        await send({"type": "http.response.body", "body": b""})
    except BrokenConnection as error:
        raise CutOff from error
