"""The trace context: which headers of the caller are passed on."""

import httpx
import pytest

from tests.scripted_memory import ScriptedMemory
from trace_context import MAX_TRACESTATE_CHARS

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HELLO = {"user_id": "alice", "text": "Hello"}


@pytest.mark.parametrize("tracestate", [b"a=\xe9", b"a=" + b"x" * MAX_TRACESTATE_CHARS, b""])
async def test_invalid_tracestate_is_ignored(
    client: httpx.AsyncClient, memory: ScriptedMemory, tracestate: bytes
) -> None:
    """A tracestate that is not ASCII, too long or empty is not passed on, and the trace still is."""
    sent = [(b"traceparent", TRACEPARENT.encode()), (b"tracestate", tracestate)]
    response = await client.post("/chat/", json=HELLO, headers=sent)
    assert response.json()["metadata"]["history"] == "saved"
    for _, request in memory.requests:
        assert request.headers["traceparent"] == TRACEPARENT
        assert "tracestate" not in request.headers


async def test_readiness_probe_is_traced(client: httpx.AsyncClient, memory: ScriptedMemory) -> None:
    """Every request is part of a trace, also a readiness probe."""
    await client.get("/health/ready", headers={"traceparent": TRACEPARENT})
    assert memory.calls("ready")[0].headers["traceparent"] == TRACEPARENT


@pytest.mark.parametrize("traceparent", [f"ff{TRACEPARENT[2:]}", TRACEPARENT.replace("b7ad6b7169203331", "0" * 16)])
async def test_invalid_traceparent_is_ignored(
    client: httpx.AsyncClient, memory: ScriptedMemory, traceparent: str
) -> None:
    """The version `ff` and an id of zeros are invalid: a new trace begins."""
    await client.get("/health/ready", headers={"traceparent": traceparent})
    assert memory.calls("ready")[0].headers["traceparent"][3:35] not in traceparent
