"""The W3C trace context of the current request. Calls to the sidecar carry it on.

https://www.w3.org/TR/trace-context/
"""

import re
from collections.abc import Mapping
from contextvars import ContextVar

import tracing

MAX_TRACESTATE_CHARS = 512
"""Longest tracestate, in characters, that is passed on: the length that the recommendation asks everyone to support."""

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TRACESTATE = re.compile(rf"[\x20-\x7e]{{1,{MAX_TRACESTATE_CHARS}}}")
_NO_HEADERS: Mapping[str, str] = {}

_current: ContextVar[Mapping[str, str]] = ContextVar("trace_context", default=_NO_HEADERS)


def enter(traceparent: str | None, tracestate: str | None) -> Mapping[str, str]:
    """Set the trace context of the current request, and return its headers. Invalid values are ignored."""
    if traceparent is None or _TRACEPARENT.fullmatch(traceparent) is None:
        caller = _NO_HEADERS
    elif tracestate is None or _TRACESTATE.fullmatch(tracestate) is None:
        caller = {"traceparent": traceparent}
    else:
        caller = {"traceparent": traceparent, "tracestate": tracestate}
    _current.set(caller)
    return caller


def headers() -> Mapping[str, str]:
    """The headers that a call for the current request carries; empty without a trace.

    With tracing on they name the current span, so that the callee's spans are its children.
    """
    return tracing.headers() or _current.get()


def trace_id() -> str:
    """The trace id, for log lines; `-` without a trace."""
    return headers().get("traceparent", "--").split("-")[1] or "-"
