"""The spans of this service: one tree for each turn, and nothing of a person in it."""

import logging
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

import httpx
import httpx2
import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_span_id, format_trace_id

import main
import tracing
from main import create_app
from settings import Settings
from tests.asgi_calls import background_ended
from tests.scripted_memory import ScriptedMemory, refusal, sidecar_failure
from tests.scripted_model import ScriptedModel, completion, streamed, streamed_tool_call, tool_call
from tracing import INSTALL_HINT, Tracing, open_tracing

CALLER_TRACE, CALLER_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLER = {"traceparent": f"00-{CALLER_TRACE}-{CALLER_SPAN}-01", "tracestate": "vendor=1"}
UNSAMPLED = {"traceparent": f"00-{CALLER_TRACE}-{CALLER_SPAN}-00"}
HELLO = {"user_id": "alice-of-paris", "text": "my secret plan", "metadata": {"session_id": "s-unseen"}}
TRACED = Settings(
    llm_base_url="http://model.test/v1",
    llm_model="scripted",
    save_timeout_seconds=0.05,
    otel_exporter_otlp_endpoint="http://collector.test:4318",
)


@dataclass
class Recorded:
    """The spans that ended."""

    exporter: InMemorySpanExporter

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span

    def parent_of(self, name: str) -> str | None:
        """The name of the parent of the span with this name; None if nobody here made it."""
        parent = self.named(name)[0].parent
        names = {span.context.span_id: span.name for span in self.spans if span.context}
        return names.get(parent.span_id) if parent else None


def attributes(span: ReadableSpan) -> dict[str, object]:
    """What is known of a span beside its name."""
    return dict(span.attributes or {})


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    """The spans go to a list instead of a collector."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(main, "open_tracing", lambda _settings: Tracing(provider.get_tracer("chat-service")))
    yield Recorded(exporter)
    provider.shutdown()


@pytest.fixture
def app(recorded: Recorded, memory: ScriptedMemory, model: ScriptedModel) -> FastAPI:
    """The service with tracing on."""
    return create_app(
        TRACED,
        memory_transport=httpx.MockTransport(memory.handle),
        model_transport=httpx2.MockTransport(model.handle),
    )


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://chat.test") as client:
        yield client


def assert_one_tree(recorded: Recorded, root: str, trace_id: str | None = None) -> None:
    """Every span is in one trace, and has its parent here, but for the root."""
    ids = {span.context.span_id for span in recorded.spans if span.context}
    roots = [span for span in recorded.spans if span.parent is None or span.parent.span_id not in ids]
    assert [span.name for span in roots] == [root]
    traces = {format_trace_id(span.context.trace_id) for span in recorded.spans if span.context}
    assert len(traces) == 1
    assert trace_id is None or traces == {trace_id}


@pytest.mark.parametrize("path", ["/chat/", "/chat/stream"])
async def test_a_turn_is_one_tree_below_its_caller(
    client: httpx.AsyncClient, recorded: Recorded, memory: ScriptedMemory, model: ScriptedModel, path: str
) -> None:
    """Its reads, each call to the model, each tool and its save; what memory is called with continues it."""
    is_streamed = path.endswith("stream")
    model.respond_with(
        streamed_tool_call() if is_streamed else tool_call(), *[streamed("It is ", "late.")] * is_streamed
    )
    await client.post(path, json=HELLO, headers=CALLER)
    assert_one_tree(recorded, f"POST {path}", CALLER_TRACE)
    root = recorded.one(f"POST {path}")
    assert root.parent is not None
    assert format_span_id(root.parent.span_id) == CALLER_SPAN
    tree = {
        "turn": f"POST {path}",
        "read": "turn",
        "GET /memories/{user_id}/recall": "read",
        "model": "turn",
        "chat scripted": "model",
        "execute_tool get_current_time": "model",
        "save": "turn",
        "POST /conversations/{session_id}/turns": "save",
    }
    assert {name: recorded.parent_of(name) for name in tree} == tree
    assert Counter(span.name for span in recorded.spans) == {**dict.fromkeys([*tree, root.name], 1), "chat scripted": 2}
    for kind, name in (
        ("recall", "GET /memories/{user_id}/recall"),
        ("append", "POST /conversations/{session_id}/turns"),
    ):
        (call,) = memory.calls(kind)  # type: ignore[arg-type]
        context = recorded.one(name).context
        assert context is not None
        assert call.headers["traceparent"] == f"00-{CALLER_TRACE}-{format_span_id(context.span_id)}-01"
        assert call.headers["tracestate"] == "vendor=1"


async def test_a_turn_without_a_caller_has_a_root_of_its_own(client: httpx.AsyncClient, recorded: Recorded) -> None:
    """A new trace begins with the request's span."""
    await client.post("/chat/", json=HELLO)
    assert_one_tree(recorded, "POST /chat/")
    assert recorded.one("POST /chat/").parent is None


async def test_calls_to_the_model_have_the_agreed_attributes(
    client: httpx.AsyncClient, recorded: Recorded, model: ScriptedModel
) -> None:
    """Model, operation, finish reason and tokens; a tool's name."""
    counted = completion({"role": "assistant", "content": "Good."}, "length")
    body = {**counted.json(), "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}
    model.respond_with(tool_call(), httpx2.Response(200, json=body))
    await client.post("/chat/", json=HELLO)
    asked = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "scripted"}
    first, second = (attributes(span) for span in recorded.named("chat scripted"))
    assert first == {**asked, "gen_ai.response.finish_reasons": ("tool_calls",)}
    assert second == {
        **asked,
        "gen_ai.response.finish_reasons": ("length",),
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
    }
    assert attributes(recorded.one("execute_tool get_current_time")) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "get_current_time",
    }


async def test_the_offline_model_is_traced_too(recorded: Recorded, memory: ScriptedMemory) -> None:
    """Under its own name."""
    app = create_app(Settings(), memory_transport=httpx.MockTransport(memory.handle))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://chat.test") as client:
        await client.post("/chat/", json=HELLO)
    found = attributes(recorded.one("chat offline"))
    assert found["gen_ai.provider.name"] == "offline"
    assert found["gen_ai.response.finish_reasons"] == ("stop",)


async def test_a_summary_belongs_to_the_turn_that_began_it(
    client: httpx.AsyncClient, recorded: Recorded, memory: ScriptedMemory
) -> None:
    """It ends after the turn, in the same tree."""
    long = [("user", "word " * 600), ("assistant", "word " * 600)] * 9
    memory.remember("s-unseen", "alice-of-paris", *long)
    await client.post("/chat/", json=HELLO)
    await background_ended()
    assert_one_tree(recorded, "POST /chat/")
    assert recorded.parent_of("summary") == "save"
    assert recorded.parent_of("PUT /conversations/{session_id}/summary") == "summary"
    calls = [span.parent.span_id for span in recorded.named("chat scripted") if span.parent]
    summary = recorded.one("summary").context
    assert summary is not None
    assert summary.span_id in calls


async def test_an_unsampled_trace_is_passed_on_and_not_recorded(
    client: httpx.AsyncClient, recorded: Recorded, memory: ScriptedMemory
) -> None:
    """The caller decides: no span, and the flag stays unset for the others."""
    await client.post("/chat/", json=HELLO, headers=UNSAMPLED)
    assert recorded.spans == ()
    for _, call in memory.requests:
        version, trace_id, _, flags = call.headers["traceparent"].split("-")
        assert (version, trace_id, flags) == ("00", CALLER_TRACE, "00")


async def test_failures_are_noted_by_their_code(
    client: httpx.AsyncClient, recorded: Recorded, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """What failed, where, and with which code; no message of an exception."""
    memory.respond_next("recall", refusal(422, "invalid_request"))
    model.respond_with(httpx2.Response(401, json={"error": {"message": "the key sk-secret is wrong"}}))
    await client.post("/chat/", json=HELLO)
    failed = {span.name: attributes(span).get("error.type") for span in recorded.spans if not span.status.is_ok}
    assert failed["GET /memories/{user_id}/recall"] == "invalid_request"
    assert failed["chat scripted"] == "AuthenticationError"
    assert failed["turn"] == failed["model"] == "model_key_refused"
    assert attributes(recorded.one("POST /chat/"))["http.response.status_code"] == 502
    assert not recorded.one("POST /chat/").status.is_ok
    assert all(not span.events and span.status.description is None for span in recorded.spans)


async def test_every_attempt_of_a_save_is_a_span(
    client: httpx.AsyncClient, recorded: Recorded, memory: ScriptedMemory
) -> None:
    """A retry is seen as what it is."""
    memory.respond_next("append", sidecar_failure())
    await client.post("/chat/", json=HELLO)
    assert [span.status.is_ok for span in recorded.named("POST /conversations/{session_id}/turns")] == [False, True]
    assert recorded.one("save").status.is_ok


async def test_no_span_has_an_id_or_a_text(
    client: httpx.AsyncClient, recorded: Recorded, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """Nothing that a person sent or got, and no id of a person, a session or a turn."""
    memory.profiles["alice-of-paris"] = {"name": "Alice", "preferred_style": "terse", "goal": "rule"}
    memory.remember("s-unseen", "alice-of-paris", ("user", "an old secret"), ("assistant", "noted"))
    model.respond_with(tool_call('{"of": "a secret argument"}'))
    sent = {**HELLO, "tags": ["private"]}
    reply = (
        await client.post("/chat/?user_id=alice-of-paris", json=sent, headers={"Idempotency-Key": "k-unseen"})
    ).json()
    await client.get("/conversations/s-unseen")
    shown = " ".join(span.to_json() for span in recorded.spans)
    assert "POST /chat/" in shown
    for secret in ("alice", "Alice", "unseen", "secret", "Good", "rule", "private", reply["metadata"]["turn_id"]):
        assert secret not in shown


@pytest.mark.parametrize("path", ["/health/live", "/metrics"])
async def test_what_is_asked_every_few_seconds_has_no_span(
    client: httpx.AsyncClient, recorded: Recorded, path: str
) -> None:
    """Probes and scrapes would bury the turns."""
    await client.get(path)
    assert recorded.spans == ()


async def test_off_no_span_is_made(settings: Settings) -> None:
    """Without an endpoint nothing is recorded."""
    assert not open_tracing(settings).is_on
    with tracing.span("anything") as span:
        assert not span.is_recording()


def test_an_endpoint_without_the_extra_is_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line says what to install, and the service works without spans."""
    monkeypatch.delitem(sys.modules, "span_export", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with caplog.at_level(logging.WARNING):
        assert not open_tracing(TRACED).is_on
    assert [record.message for record in caplog.records] == [INSTALL_HINT]


@pytest.mark.slow
async def test_an_endpoint_with_the_extra_turns_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans are sent to it, also those that are left when the service stops."""
    sent: list[str] = []
    monkeypatch.setattr(
        "opentelemetry.exporter.otlp.proto.http.trace_exporter.OTLPSpanExporter.export",
        lambda exporter, spans: sent.extend(f"{exporter._endpoint} {span.name}" for span in spans),
    )
    opened = open_tracing(TRACED)
    with opened.request("GET", {}):
        pass
    await opened.close()
    assert sent == ["http://collector.test:4318/v1/traces GET"]
