"""Which headers pass between caller and app, in both directions, and which ones the sidecars add."""

import re
import socket

from local_sidecar.http import JSON_TYPE, TEXT_TYPE, Headers, Request
from local_sidecar.invocation.app_response import AppResponse

EVENT_STREAM = b"text/event-stream"
SNIFFED_BYTES = 512
"""How many bytes of a body are looked at to guess its content type. Go's `DetectContentType` reads as many."""

_HOP_BY_HOP = {
    *(b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"http2-settings"),
    *(b"te", b"trailer", b"proxy-authorization", b"proxy-authenticate"),
}
_REPLACED = {b"host", b"content-length", b"traceparent", b"tracestate", b"date"}
_NOT_PASSED = _HOP_BY_HOP | _REPLACED | {b"dapr-app-id"}
_DROPPED_WHEN_EMPTY = {b"user-agent", b"content-type"}

_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TRACESTATE = re.compile(
    rb"[a-z0-9][a-z0-9_\-*/@]*=[!-+\--<>-~]+(?:[ \t]*,[ \t]*[a-z0-9][a-z0-9_\-*/@]*=[!-+\--<>-~]+)*"
)
_NO_TRACE = b"00-00000000000000000000000000000000-0000000000000000-00"
_ADDRESS = b"127.0.0.1"
_HOST_NAME = socket.gethostname().encode()
_CONTROL_BYTES = bytes(set(range(0x20)) - set(b"\t\n\f\r\x1b"))


def request_headers(request: Request, added: Headers) -> Headers:
    """The headers that the app is sent. The sidecars' own `dapr-api-token` in `added` replaces the caller's."""
    headers = _passed_on(request.headers)
    if any(name == b"dapr-api-token" for name, _ in added):
        headers = [header for header in headers if header[0] != b"dapr-api-token"]
    agent = [] if request.header(b"user-agent") is not None else [(b"user-agent", b"Go-http-client/1.1")]
    return [*headers, *agent, *_trace(request.headers), *added]


def added_headers(caller: str, callee: str) -> Headers:
    """The headers that name caller, callee and machine. A sidecar that calls its own app adds none."""
    if caller == callee:
        return []
    return [
        (b"dapr-caller-app-id", caller.encode()),
        (b"dapr-callee-app-id", callee.encode()),
        (b"dapr-caller-namespace", b"default"),
        (b"x-forwarded-for", _ADDRESS),
        (b"x-forwarded-host", _HOST_NAME),
        (b"forwarded", b"for=%b;by=%b;host=%b" % (_ADDRESS, _ADDRESS, _HOST_NAME)),
    ]


def accepts_events_only(request: Request) -> bool:
    """Whether the caller accepts an event stream and nothing else. Dapr handles such a call in its own way."""
    return (request.header(b"accept") or b"").strip().lower() == EVENT_STREAM


def response_headers(request: Request, response: AppResponse, start: bytes, as_events: bool) -> Headers:
    """The headers that the caller gets. A missing content type is guessed from `start`, the body's first bytes."""
    headers = _passed_on(response.headers) + _returned_trace_state(request)
    headers += [header for header in response.headers if header[0] == b"content-length"]
    if as_events:
        headers = [header for header in headers if header[0] not in (b"content-type", b"cache-control")]
        return [*headers, (b"content-type", EVENT_STREAM), (b"cache-control", b"no-cache")]
    if not any(name == b"content-type" for name, _ in headers):
        headers += _guessed_type(request, response.status, start)
    return headers


def _passed_on(headers: Headers) -> Headers:
    named = {token.strip().lower() for name, value in headers if name == b"connection" for token in value.split(b",")}
    return [
        (name, value)
        for name, value in headers
        if name not in _NOT_PASSED
        and name not in named
        and not name.endswith(b"-bin")
        and (value or name not in _DROPPED_WHEN_EMPTY)
    ]


def _trace(headers: Headers) -> Headers:
    """The caller's trace, unchanged: as Dapr without tracing, this sidecar reports no span that could be a parent.

    Without a trace, the empty one that Dapr sends.
    """
    trace = [header for header in headers if header[0] in (b"traceparent", b"tracestate")]
    parent = dict(reversed(trace)).get(b"traceparent")
    if parent is None:
        return [(b"traceparent", _NO_TRACE)]
    return [(b"traceparent", parent), *(header for header in trace if header[0] == b"tracestate")]


def _returned_trace_state(request: Request) -> Headers:
    """The caller's own trace state, which Dapr returns with the response."""
    state = request.header(b"tracestate")
    parent = request.header(b"traceparent")
    traced = parent is not None and _TRACEPARENT.fullmatch(parent)
    return [(b"tracestate", state)] if traced and state and _TRACESTATE.fullmatch(state) else []


def _guessed_type(request: Request, status: int, start: bytes) -> Headers:
    if not 200 <= status < 400 and request.header(b"transfer-encoding") is None:
        return [JSON_TYPE]
    if not start:
        return []
    sniffed = start[:SNIFFED_BYTES]
    binary = sniffed.translate(None, _CONTROL_BYTES) != sniffed
    return [(b"content-type", b"application/octet-stream")] if binary else [TEXT_TYPE]
