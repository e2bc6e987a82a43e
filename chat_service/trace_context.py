"""The W3C trace context of the request at hand, so that one trace shows this service, the sidecars and the memory.

https://www.w3.org/TR/trace-context/
"""

import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
MAX_TRACESTATE_CHARS = 512  # what the recommendation asks everyone to pass on

_current: ContextVar[Mapping[str, str] | None] = ContextVar("trace_context", default=None)


def enter(traceparent: str | None, tracestate: str | None) -> None:
    """Take over the caller's trace; without a valid one begin a new one."""
    if traceparent is None or _TRACEPARENT.fullmatch(traceparent) is None:
        _current.set({"traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"})
    elif tracestate and len(tracestate) <= MAX_TRACESTATE_CHARS:
        _current.set({"traceparent": traceparent, "tracestate": tracestate})
    else:
        _current.set({"traceparent": traceparent})


def headers() -> Mapping[str, str]:
    """What a call made on behalf of the request carries."""
    return _current.get() or {}


def trace_id() -> str:
    """The trace's id, for the log; `-` outside a request."""
    return headers().get("traceparent", "00-").split("-")[1] or "-"
