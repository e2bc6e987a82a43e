"""The spans of this service: a request and its calls to the store, below the caller's span."""

import logging
import sys
from collections.abc import Iterator, Sequence

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_span_id, format_trace_id

import main
from main import create_app
from settings import Settings
from tests.fake_clients import Fault, Sidecar, is_write
from tests.fake_dapr import FakeDapr
from tests.fake_time import now, run
from tests.service_under_test import Service
from tests.store_kinds import REDIS
from tests.workload import SETTINGS
from tracing import INSTALL_HINT, Tracing, open_tracing

CALLER_TRACE, CALLER_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLER = {"traceparent": f"00-{CALLER_TRACE}-{CALLER_SPAN}-01", "tracestate": "vendor=1"}
TURN = {"turn_id": "t-unseen", "user_id": "alice", "entries": [{"role": "user", "content": "a secret"}]}
TURNS = "/conversations/{session_id}/turns"


class TracedSidecar(Sidecar):
    """A sidecar that remembers the trace headers of its requests."""

    def __init__(self, dapr: FakeDapr) -> None:
        super().__init__(dapr)
        self.received: list[tuple[str | None, str | None]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.received.append((request.headers.get("traceparent"), request.headers.get("tracestate")))
        return await super().handle_async_request(request)


class Traced(Service):
    """A service whose spans go to a list. Its store was tried before."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        dapr = FakeDapr(now, REDIS)
        self.traced_sidecar = TracedSidecar(dapr)
        super().__init__(create_app(SETTINGS, sidecar_transport=self.traced_sidecar), dapr, self.traced_sidecar)
        self._exporter = exporter

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    async def prepare(self) -> None:
        """Try the store and begin a session, and forget the spans of it."""
        await self.append("s-unseen", "t0", "earlier", user="alice")
        self._exporter.clear()
        self.traced_sidecar.received.clear()


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[Traced]:
    """The service with tracing on."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(main, "open_tracing", lambda _: Tracing(provider.get_tracer("agent-memory-service")))
    yield Traced(exporter)
    provider.shutdown()


def parent_id(span: ReadableSpan) -> str | None:
    return format_span_id(span.parent.span_id) if span.parent else None


def own_id(span: ReadableSpan) -> str:
    assert span.context is not None
    return format_span_id(span.context.span_id)


def test_a_request_and_its_store_calls_are_below_the_caller(traced: Traced) -> None:
    """The sidecar's spans in turn are below ours: it gets the id of the call's span."""

    async def scenario() -> None:
        await traced.prepare()
        await traced.http.post("/conversations/s-unseen/turns", json=TURN, headers=CALLER)
        *calls, request = traced.spans
        assert (request.name, parent_id(request)) == (f"POST {TURNS}", CALLER_SPAN)
        assert [(call.name, parent_id(call)) for call in calls] == [
            ("state get", own_id(request)),
            ("state save", own_id(request)),
        ]
        assert traced.traced_sidecar.received == [
            (f"00-{CALLER_TRACE}-{own_id(call)}-01", "vendor=1") for call in calls
        ]
        assert {format_trace_id(span.context.trace_id) for span in traced.spans if span.context} == {CALLER_TRACE}
        assert dict(request.attributes or {}) == {
            "http.request.method": "POST",
            "http.route": TURNS,
            "http.response.status_code": 201,
        }
        assert [dict(call.attributes or {}) for call in calls] == [{"outcome": "ok"}] * 2

    run(scenario())


def test_a_request_without_a_caller_is_a_root(traced: Traced) -> None:
    """Its calls to the store are below it all the same."""

    async def scenario() -> None:
        await traced.prepare()
        await traced.http.get("/memories/alice")
        call, request = traced.spans
        assert (request.name, request.parent) == ("GET /memories/{user_id}", None)
        assert parent_id(call) == own_id(request)

    run(scenario())


def test_an_unsampled_trace_is_passed_on_and_not_recorded(traced: Traced) -> None:
    """The caller decides: no span, and the flag stays unset for the sidecar."""

    async def scenario() -> None:
        await traced.prepare()
        await traced.http.get("/memories/alice", headers={"traceparent": f"00-{CALLER_TRACE}-{CALLER_SPAN}-00"})
        assert traced.spans == ()
        ((traceparent, _),) = traced.traced_sidecar.received
        assert traceparent is not None
        assert (traceparent[:36], traceparent[-3:]) == (f"00-{CALLER_TRACE}-", "-00")

    run(scenario())


def test_failed_calls_are_noted_without_their_texts(traced: Traced) -> None:
    """A write that did not succeed and its retry; a store that is down."""

    async def scenario() -> None:
        await traced.prepare()
        faults = [Fault.CONFLICT_NOT_DONE]
        traced.sidecar.faults = lambda request: faults.pop() if is_write(request) and faults else Fault.NONE
        await traced.http.post("/conversations/s-unseen/turns", json=TURN)
        outcomes = [(span.attributes or {})["outcome"] for span in traced.spans if span.name == "state save"]
        assert outcomes == ["conflict", "ok"]
        traced.sidecar.faults = lambda request: Fault.UNREACHABLE
        await traced.http.get("/memories/alice")
        *_, call, request = traced.spans
        assert dict(call.attributes or {}) == {"outcome": "no_response", "error.type": "store_unavailable"}
        assert not call.status.is_ok
        assert not request.status.is_ok
        assert (request.attributes or {})["http.response.status_code"] == 503
        assert all(not span.events and span.status.description is None for span in traced.spans)

    run(scenario())


def test_no_span_has_an_id_or_a_text(traced: Traced) -> None:
    """Nothing that a person sent, and no id of a person, a session or a turn."""

    async def scenario() -> None:
        await traced.prepare()
        await traced.http.post("/conversations/s-unseen/turns", json=TURN)
        await traced.http.get("/conversations/s-unseen?last=2&user_id=alice&turn_id=t-unseen")
        await traced.http.get("/memories/alice/export")
        await traced.http.get("/no/such/path-of/alice")
        await traced.http.delete("/memories/alice")
        shown = " ".join(span.to_json() for span in traced.spans)
        assert "DELETE /memories/{user_id}" in shown
        for secret in ("alice", "unseen", "secret", "earlier"):
            assert secret not in shown

    run(scenario())


def test_what_is_asked_every_few_seconds_has_no_span(traced: Traced) -> None:
    """Probes and scrapes would bury the requests."""

    async def scenario() -> None:
        for path in ("/health/live", "/metrics"):
            assert (await traced.http.get(path)).status_code == 200
        assert traced.spans == ()

    run(scenario())


def test_off_no_span_is_made() -> None:
    """Without an endpoint nothing is recorded."""
    assert not open_tracing(SETTINGS).is_on


def test_an_endpoint_without_the_extra_is_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line says what to install, and the service works without spans."""
    monkeypatch.delitem(sys.modules, "span_export", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with caplog.at_level(logging.WARNING):
        assert not open_tracing(Settings(otel_exporter_otlp_endpoint="http://collector.test:4318")).is_on
    assert [record.message for record in caplog.records] == [INSTALL_HINT]


async def test_an_endpoint_with_the_extra_turns_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans are sent to it, also those that are left when the service stops."""
    sent: list[str] = []
    monkeypatch.setattr(
        "opentelemetry.exporter.otlp.proto.http.trace_exporter.OTLPSpanExporter.export",
        lambda exporter, spans: sent.extend(f"{exporter._endpoint} {span.name}" for span in spans),
    )
    opened = open_tracing(Settings(otel_exporter_otlp_endpoint="http://collector.test:4318"))
    with opened.request("GET", {}):
        pass
    await opened.close()
    assert sent == ["http://collector.test:4318/v1/traces GET"]
