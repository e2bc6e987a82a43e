"""The W3C trace context of the current request: one trace connects this service, the sidecars and the memory service.

https://www.w3.org/TR/trace-context/
"""

import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar

import tracing

MAX_TRACESTATE_CHARS = 512
"""Longest tracestate that is passed on, in characters. The recommendation asks for at least this length."""

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_current: ContextVar[Mapping[str, str] | None] = ContextVar("trace_context", default=None)


def enter(traceparent: str | None, tracestate: str | None) -> Mapping[str, str]:
    """Continue the caller's trace. Start a new one if `traceparent` is missing or invalid.

    Returns the caller's headers that count; none if the trace is new.
    """
    if traceparent is None or _TRACEPARENT.fullmatch(traceparent) is None:
        _current.set({"traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"})
        return {}
    caller = {"traceparent": traceparent}
    if tracestate and _is_valid_tracestate(tracestate):
        caller["tracestate"] = tracestate
    _current.set(caller)
    return caller


def headers() -> Mapping[str, str]:
    """The trace headers for a call on behalf of the request; empty outside a request.

    With tracing on they name the current span, so that the callee's spans are its children.
    """
    return tracing.headers() or _current.get() or {}


def trace_id() -> str:
    """The trace's id for the log; `-` outside a request."""
    return headers().get("traceparent", "00-").split("-")[1] or "-"


def _is_valid_tracestate(tracestate: str) -> bool:
    return len(tracestate) <= MAX_TRACESTATE_CHARS and tracestate.isascii() and tracestate.isprintable()
