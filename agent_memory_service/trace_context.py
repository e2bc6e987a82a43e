"""The W3C trace context of the current request. Calls to the sidecar carry it on.

https://www.w3.org/TR/trace-context/
"""

import re
from collections.abc import Mapping
from contextvars import ContextVar

MAX_TRACESTATE_CHARS = 512
"""Longest tracestate, in characters, that is passed on: the length that the recommendation asks everyone to support."""

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TRACESTATE = re.compile(rf"[\x20-\x7e]{{1,{MAX_TRACESTATE_CHARS}}}")
_NO_HEADERS: Mapping[str, str] = {}

_current: ContextVar[Mapping[str, str]] = ContextVar("trace_context", default=_NO_HEADERS)


def enter(traceparent: str | None, tracestate: str | None) -> None:
    """Set the trace context of the current request. Invalid values are ignored."""
    if traceparent is None or _TRACEPARENT.fullmatch(traceparent) is None:
        _current.set(_NO_HEADERS)
    elif tracestate is None or _TRACESTATE.fullmatch(tracestate) is None:
        _current.set({"traceparent": traceparent})
    else:
        _current.set({"traceparent": traceparent, "tracestate": tracestate})


def headers() -> Mapping[str, str]:
    """The headers that a call for the current request carries; empty without a trace."""
    return _current.get()


def trace_id() -> str:
    """The trace id, for log lines; `-` without a trace."""
    return headers().get("traceparent", "--").split("-")[1] or "-"
