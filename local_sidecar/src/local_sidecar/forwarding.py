"""Which headers pass between caller and app, and which the sidecars add."""

import re
import secrets
import socket

from .http import Headers

HOP_BY_HOP = frozenset(
    (
        b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"http2-settings",
        b"te", b"trailer", b"proxy-authorization", b"proxy-authenticate",
    )
)  # fmt: skip
_NOT_PASSED = HOP_BY_HOP | {b"host", b"content-length", b"traceparent", b"tracestate", b"grpc-trace-bin"}
_NOT_PASSED |= {b"destination-app-id", b"dapr-app-id", b"date"}
_TRACEPARENT = re.compile(rb"00-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})")
_NO_TRACE = b"00-00000000000000000000000000000000-0000000000000000-00"
ADDRESS = b"127.0.0.1"
HOST_NAME = socket.gethostname().encode()


def passed_on(headers: Headers) -> Headers:
    """The headers that cross a sidecar, in either direction."""
    named = {token.strip().lower() for name, value in headers if name == b"connection" for token in value.split(b",")}
    return [
        (b"dapr-" + name if name.startswith(b"grpc-") else name, value)
        for name, value in headers
        if name not in _NOT_PASSED and name not in named and not name.endswith(b"-bin")
    ]


def trace_of(headers: Headers) -> Headers:
    """The caller's trace with a new span; without one, the empty trace that Dapr sends."""
    given = next((_TRACEPARENT.fullmatch(value) for name, value in headers if name == b"traceparent"), None)
    if given is None:
        return [(b"traceparent", _NO_TRACE)]
    span = secrets.token_hex(8).encode()
    state = [(name, value) for name, value in headers if name == b"tracestate"]
    return [(b"traceparent", b"00-%b-%b-%b" % (given[1], span, given[2])), *state]


def added(caller: str, callee: str, app_token: str) -> Headers:
    """What tells the app who calls whom and through which machine, and the token by which it knows its own sidecar."""
    token = [(b"dapr-api-token", app_token.encode())] if app_token else []
    return [
        *token,
        (b"dapr-caller-app-id", caller.encode()),
        (b"dapr-callee-app-id", callee.encode()),
        (b"dapr-caller-namespace", b"default"),
        (b"x-forwarded-for", ADDRESS),
        (b"x-forwarded-host", HOST_NAME),
        (b"forwarded", b"for=%b;by=%b;host=%b" % (ADDRESS, ADDRESS, HOST_NAME)),
    ]
