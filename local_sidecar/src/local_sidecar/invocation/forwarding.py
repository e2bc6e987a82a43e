"""Which headers pass between caller and app, and which the sidecars add."""

import re
import secrets
import socket

from local_sidecar.http import Headers, Request

HOP_BY_HOP = {
    *(b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"http2-settings"),
    *(b"te", b"trailer", b"proxy-authorization", b"proxy-authenticate"),
}
_SET_ANEW = {b"host", b"content-length", b"traceparent", b"tracestate", b"date"}
_NOT_PASSED = HOP_BY_HOP | _SET_ANEW | {b"destination-app-id", b"dapr-app-id"}
_EMPTY_MEANS_NONE = {b"user-agent", b"content-type"}

_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")
_TRACESTATE = re.compile(
    rb"[a-z0-9][a-z0-9_\-*/@]*=[!-+\--<>-~]+(?:[ \t]*,[ \t]*[a-z0-9][a-z0-9_\-*/@]*=[!-+\--<>-~]+)*"
)
_NO_TRACE = b"00-00000000000000000000000000000000-0000000000000000-00"
_ADDRESS = b"127.0.0.1"
_HOST_NAME = socket.gethostname().encode()


def passed_on(headers: Headers) -> Headers:
    """The headers that cross a sidecar, in either direction."""
    named = {token.strip().lower() for name, value in headers if name == b"connection" for token in value.split(b",")}
    return [
        (b"dapr-" + name if name.startswith(b"grpc-") else name, value)
        for name, value in headers
        if name not in _NOT_PASSED
        and name not in named
        and not name.endswith(b"-bin")
        and (value or name not in _EMPTY_MEANS_NONE)
    ]


def request_headers(request: Request, added: Headers) -> Headers:
    """What the app is sent of a request; `added` comes from the sidecars and outranks the caller's token."""
    headers = passed_on(request.headers)
    if any(name == b"dapr-api-token" for name, _ in added):
        headers = [header for header in headers if header[0] != b"dapr-api-token"]
    agent = [] if request.header(b"user-agent") is not None else [(b"user-agent", b"Go-http-client/1.1")]
    return [*headers, *agent, *_trace(request.headers), *added]


def added_headers(caller: str, callee: str) -> Headers:
    """What tells the app who calls whom and through which machine; nothing where a sidecar calls its own app."""
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


def returned_trace(request: Request) -> Headers:
    """The caller's own trace state, which comes back with the answer."""
    state = request.header(b"tracestate")
    parent = request.header(b"traceparent")
    traced = parent is not None and _TRACEPARENT.fullmatch(parent)
    return [(b"tracestate", state)] if traced and state and _TRACESTATE.fullmatch(state) else []


def _trace(headers: Headers) -> Headers:
    """The caller's trace with a new span; without one the empty trace that Dapr sends; what is no trace as it is."""
    trace = [header for header in headers if header[0] in (b"traceparent", b"tracestate")]
    parent = dict(reversed(trace)).get(b"traceparent")
    if parent is None:
        return [(b"traceparent", _NO_TRACE)]
    if (known := _TRACEPARENT.fullmatch(parent)) is None:
        return trace
    span = secrets.token_hex(8).encode()
    renewed = b"00-%b-%b-%b" % (known[1], span, known[2])
    return [(b"traceparent", renewed), *(header for header in trace if header[0] == b"tracestate")]
