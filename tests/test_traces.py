"""One turn is one tree of spans, read back from a collector. With DAPRD the sidecars' spans are in it too."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
import yaml

from harness.paths import COMPONENTS
from harness.services import add_model
from harness.sidecars import sidecars_from_environment
from harness.span_collector import CollectedSpan, SpanCollector
from harness.system import System

CALLER_TRACE, CALLER_SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TURNS = "POST /conversations/{session_id}/turns"
BATCH_MILLISECONDS = "100"
WITH_DAPR = "DAPRD" in os.environ

OURS = {
    "chat-service": {
        "POST /chat/": 1,
        "turn": 1,
        "read": 1,
        "GET /memories/{user_id}/recall": 1,
        "model": 1,
        "chat scripted": 2,
        "execute_tool get_current_time": 1,
        "save": 1,
        TURNS: 1,
    },
    "agent-memory-service": {
        "GET /memories/{user_id}/recall": 1,
        TURNS: 1,
        "state get_many": 1,
        "state get": 1,
        "state save": 2,
    },
}
"""The spans of a turn in a session that has no turn yet, with one tool: its first append also lists the session."""


@pytest.fixture(scope="module")
def collector() -> Iterator[SpanCollector]:
    """The collector of spans."""
    with SpanCollector() as found:
        yield found


@pytest.fixture(scope="module")
def traced(collector: SpanCollector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Both services with tracing on, a model that calls tools, and sidecars that trace if they are Dapr's."""
    folder = tmp_path_factory.mktemp("traced")
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": BATCH_MILLISECONDS}
    with System(folder, sidecars=sidecars_from_environment(traced_components(folder, collector))) as system:
        model = {"LLM_BASE_URL": add_model(system), "LLM_API_KEY": "none", "LLM_MODEL": "scripted"}
        system.add_memory(env)
        system.add_chat({**env, **model})
        system.start()
        yield system


def traced_components(folder: Path, collector: SpanCollector) -> Path:
    """A copy of the components whose Configuration sends the sidecars' spans to the collector."""
    components = folder / "components"
    components.mkdir()
    for path in COMPONENTS.glob("*.yaml"):
        (components / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    configuration = yaml.safe_load((COMPONENTS / "config.yaml").read_text(encoding="utf-8"))
    otel = {"endpointAddress": f"127.0.0.1:{collector.port}", "protocol": "http", "isSecure": False}
    configuration["spec"]["tracing"] = {"samplingRate": "1", "otel": otel}
    (components / "config.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    return components


def ours(spans: Sequence[CollectedSpan], service: str) -> dict[str, int]:
    """How often each name is among a service's own spans; Dapr's sidecars have the same service name."""
    names = [span.name for span in spans if span.service == service and span.name in OURS[service]]
    return {name: names.count(name) for name in names}


def is_whole(spans: Sequence[CollectedSpan]) -> bool:
    """Whether all spans of our services are there."""
    known = {span.span_id for span in spans} | {CALLER_SPAN}
    return all(ours(spans, service) == OURS[service] for service in OURS) and all(
        span.parent_id in known for span in spans
    )


@pytest.mark.slow
def test_one_turn_is_one_tree(traced: System, collector: SpanCollector) -> None:
    """From the caller's span to the store: one root, every parent is there, and nothing of a person is in it."""
    chat, session = traced.chats[0].url, traced.new_id("session")
    body = {"user_id": "ada-unseen", "text": "What time is it, secretly?", "metadata": {"session_id": session}}
    caller = {"traceparent": f"00-{CALLER_TRACE}-{CALLER_SPAN}-01"}
    reply = httpx.post(f"{chat}/chat/", json=body, headers=caller, trust_env=False, timeout=30).json()
    assert reply["metadata"]["history"] == "saved"
    spans = collector.of_trace(CALLER_TRACE, is_whole)
    (root,) = [span for span in spans if span.parent_id == CALLER_SPAN]
    assert (root.service, root.name) == ("chat-service", "POST /chat/")
    assert len({span.span_id for span in spans}) == len(spans)
    own = [span for span in spans if span.name in OURS[span.service]]
    assert (len(spans) > len(own)) == WITH_DAPR, [span.name for span in spans]
    path = above(spans, "agent-memory-service", "state save")
    ours_on_it = [name for service, name in path if name in OURS[service]]
    assert ours_on_it == ["state save", TURNS, TURNS, "save", "turn", "POST /chat/"]
    for secret in ("ada-unseen", "secretly", session, reply["reply"], reply["metadata"]["turn_id"]):
        for span in own:
            assert secret not in f"{span.name} {dict(span.attributes)}"


def above(spans: Sequence[CollectedSpan], service: str, name: str) -> list[tuple[str, str]]:
    """The service and the name of the first span with this name, and of those above it up to the root."""
    by_id = {span.span_id: span for span in spans}
    found = []
    at: CollectedSpan | None = next(span for span in spans if (span.service, span.name) == (service, name))
    while at is not None:
        found.append((at.service, at.name))
        at = by_id.get(at.parent_id)
    return found
