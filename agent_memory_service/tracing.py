"""Spans of this service, for OpenTelemetry. Without a place to send them, none are made and they cost nothing.

Names and attributes hold no text and no id of a person, a session or a turn. The SDK, which records and sends spans, is
an extra: it is imported only if OTEL_EXPORTER_OTLP_ENDPOINT is set.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from threading import Thread

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from errors import ServiceError
from settings import Settings

CLOSE_SECONDS = 2.0
"""How long the last spans may take to be sent when the service stops, in seconds. A collector that hangs gets none."""
INSTALL_HINT = (
    "OTEL_EXPORTER_OTLP_ENDPOINT is set, but no spans are sent: install opentelemetry-sdk and"
    " opentelemetry-exporter-otlp-proto-http (the extra `tracing` of this service's pyproject.toml)"
)
"""What the log says if the extra is missing."""

_PROPAGATOR = TraceContextTextMapPropagator()
_NO_SPAN = nullcontext(INVALID_SPAN)
_tracer: ContextVar[Tracer | None] = ContextVar("tracer", default=None)
"""The tracer of the app that handles the current request; also in the tasks that the request starts."""

logger = logging.getLogger("agent_memory_service.tracing")


class Tracing:
    """The spans of one app. Without a tracer there are none."""

    def __init__(self, tracer: Tracer | None = None, shutdown: Callable[[], None] | None = None) -> None:
        self._tracer = tracer
        self._shutdown = shutdown

    @property
    def is_on(self) -> bool:
        """Whether spans are made."""
        return self._tracer is not None

    def request(self, method: str, caller: Mapping[str, str]) -> AbstractContextManager[Span]:
        """Return the span of a request: the child of the caller's, if its headers name one; else a root."""
        _tracer.set(self._tracer)
        return span(method, SpanKind.SERVER, _PROPAGATOR.extract(caller, Context()))

    async def close(self) -> None:
        """Send the last spans."""
        if self._shutdown is not None:
            closing = Thread(target=self._shutdown, daemon=True)
            closing.start()
            await asyncio.to_thread(closing.join, CLOSE_SECONDS)


def open_tracing(settings: Settings) -> Tracing:
    """Return the tracing that the settings ask for."""
    if settings.otel_exporter_otlp_endpoint is None:
        return Tracing()
    try:
        from span_export import span_provider
    except ImportError:
        logger.warning(INSTALL_HINT)
        return Tracing()
    provider = span_provider(settings.otel_service_name, settings.otel_exporter_otlp_endpoint)
    return Tracing(provider.get_tracer("agent-memory-service"), provider.shutdown)


def span(name: str, kind: SpanKind, parent: Context | None = None) -> AbstractContextManager[Span]:
    """Return a span that is the current one within its block. An error that leaves the block is noted by its kind."""
    tracer = _tracer.get()
    return _NO_SPAN if tracer is None else _current_span(tracer, name, kind, parent)


def headers() -> Mapping[str, str]:
    """Return the trace headers of the current span; empty without one."""
    if _tracer.get() is None:
        return {}
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier


@contextmanager
def _current_span(tracer: Tracer, name: str, kind: SpanKind, parent: Context | None) -> Iterator[Span]:
    with tracer.start_as_current_span(
        name, parent, kind, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield current
        except BaseException as error:  # its text can hold a conversation
            code = error.code if isinstance(error, ServiceError) else type(error).__qualname__
            current.set_attribute("error.type", code)
            current.set_status(StatusCode.ERROR)
            raise
