"""Every way in which a model can fail: the client gets a clear status, nothing is saved, nothing leaks."""

import asyncio
import logging

import httpx
import httpx2
import pytest
from fastapi import FastAPI

from main import create_app
from settings import Settings
from tests.scripted_memory import ScriptedMemory
from tests.scripted_model import (
    ScriptedModel,
    ScriptedResponse,
    completion,
    events,
    streamed,
    streamed_tool_call,
    text,
    text_events,
    tool_call,
)

LEAK = "upstream-secret sk-123"
PATHS = ["/chat/", "/chat/stream"]
JSON = {"content-type": "application/json"}
HELLO = {"user_id": "alice", "text": "Hello"}


def refused(status: int, **headers: str) -> httpx2.Response:
    """An endpoint's error with text that must not leak."""
    return httpx2.Response(status, json={"error": {"message": LEAK}}, headers=headers)


BROKEN = httpx2.ConnectError(LEAK)
Failures = dict[str, tuple[list[ScriptedResponse], int, str]]
FAILURES: Failures = {
    "refused key": ([refused(401)], 502, "model_key_refused"),
    "unknown model": ([refused(404)], 502, "model_unknown"),
    "refused request": ([refused(400)], 502, "model_refused_request"),
    "overloaded": ([refused(429)] * 3, 503, "model_overloaded"),
    "unavailable": ([refused(503)] * 3, 503, "model_overloaded"),
    "failing": ([refused(500)] * 3, 502, "model_failed"),
    "unreachable": ([BROKEN] * 3, 503, "model_unreachable"),
    "read timeout": ([httpx2.ReadTimeout(LEAK)], 504, "model_timeout"),
    "page instead of JSON": ([httpx2.Response(200, html=f"<h1>{LEAK}</h1>")], 502, "model_bad_answer"),
    "no JSON": ([httpx2.Response(200, content=LEAK, headers=JSON)], 502, "model_bad_answer"),
    "other JSON": ([httpx2.Response(200, json=[LEAK])], 502, "model_bad_answer"),
}
WHOLE: Failures = {
    "no choices": ([httpx2.Response(200, json={"id": "c", "choices": [], "error": LEAK})], 502, "model_misbehaved"),
    "empty reply": ([text("")], 502, "model_empty_reply"),
    "blank reply": ([text(" \n")], 502, "model_empty_reply"),
    "unknown tool": ([tool_call(name="rm")], 502, "model_misbehaved"),
    "endless tool calls": ([tool_call() for _ in range(20)], 502, "model_tool_loop"),
}
STREAMED: Failures = {
    "no stream": ([text("Good.")], 502, "model_bad_answer"),
    "no choices": ([events([b"data: {}\n\n", b"data: [DONE]\n\n"])], 502, "model_empty_reply"),
    "no JSON": ([events([b"data: {" + LEAK.encode() + b"\n\n"])], 502, "model_bad_answer"),
    "error event": ([events([b'data: {"error": {"message": "%s"}}\n\n' % LEAK.encode()])], 502, "model_failed"),
    "nothing": ([events([])], 503, "model_unreachable"),
    "empty reply": ([streamed("")], 502, "model_empty_reply"),
}
CASES = [
    *(pytest.param(path, *case, id=f"{path} {name}") for name, case in FAILURES.items() for path in PATHS),
    *(pytest.param("/chat/", *case, id=f"/chat/ {name}") for name, case in WHOLE.items()),
    *(pytest.param("/chat/stream", *case, id=f"/chat/stream {name}") for name, case in STREAMED.items()),
]


@pytest.mark.parametrize(("path", "responses", "status", "code"), CASES)
async def test_failure_has_its_status(
    client: httpx.AsyncClient,
    memory: ScriptedMemory,
    model: ScriptedModel,
    caplog: pytest.LogCaptureFixture,
    path: str,
    responses: list[ScriptedResponse],
    status: int,
    code: str,
) -> None:
    """Each failure has its status and code, also on the stream; nothing is saved and no text of the endpoint leaks."""
    caplog.set_level(logging.DEBUG)
    model.respond_with(*responses)
    response = await client.post(path, json=HELLO)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert ("retry-after" in response.headers) == (status == 503)
    assert memory.calls("append") == []
    assert LEAK not in response.text + caplog.text
    assert f"code={code}" in caplog.text


@pytest.mark.parametrize(("sent", "passed_on"), [("30", "30"), ("9" * 5_000, "3600"), ("-5", "5"), ("\u00b2", "5")])
async def test_retry_after_of_the_endpoint_is_passed_on(
    client: httpx.AsyncClient, model: ScriptedModel, sent: str, passed_on: str
) -> None:
    """A long Retry-After of the endpoint is passed to the client at once, within the limits, whatever it holds."""
    headers = [(b"retry-after", sent.encode("latin-1"))]
    model.respond_with(httpx2.Response(429, headers=headers))
    response = await client.post("/chat/", json=HELLO)
    assert (response.status_code, response.headers["retry-after"]) == (503, passed_on)
    assert len(model.requests) == 1


@pytest.mark.parametrize("first", [refused(429), refused(500), refused(429, **{"retry-after": "0"}), BROKEN])
@pytest.mark.parametrize("path", PATHS)
async def test_transient_failure_is_retried(
    client: httpx.AsyncClient, model: ScriptedModel, first: ScriptedResponse, path: str
) -> None:
    """If the endpoint produced nothing, the model is asked again and the client does not notice."""
    model.respond_with(first)
    response = await client.post(path, json=HELLO)
    assert response.status_code == 200
    assert len(model.requests) == 2


async def test_endpoint_sets_no_cookies(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """A cookie of one user's response does not go out with the next user's request."""
    reply = text("Good.")
    reply.headers["set-cookie"] = "session=alice; Path=/"
    model.respond_with(reply)
    for user in ("alice", "bob"):
        assert (await client.post("/chat/", json={"user_id": user, "text": "Hello"})).status_code == 200
    assert ["cookie" in request.headers for request in model.requests] == [False, False]


async def test_retries_are_one_layer(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """The SDK adds no retries: three requests in all."""
    model.respond_with(*[refused(500)] * 9)
    await client.post("/chat/", json=HELLO)
    assert len(model.requests) == 3


async def test_unknown_tool_arguments_do_not_fail_the_turn(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """Arguments that the tool does not know do not fail the turn."""
    model.respond_with(tool_call('{"zone": "Mars"}'), text("It is late."))
    response = await client.post("/chat/", json=HELLO)
    assert (response.status_code, response.json()["reply"]) == (200, "It is late.")


async def test_malformed_tool_arguments(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """Arguments that are not JSON end in a reply or in a clear status."""
    model.respond_with(tool_call('{"zone": '), text("It is late."))
    response = await client.post("/chat/", json=HELLO)
    assert response.status_code in (200, 502)


@pytest.mark.parametrize(
    "refusal",
    [text(None, refusal="I would rather not."), completion({"role": "assistant", "content": None}, "content_filter")],
)
async def test_refusal_is_the_reply(client: httpx.AsyncClient, model: ScriptedModel, refusal: httpx2.Response) -> None:
    """A model's refusal is a reply, and is saved."""
    model.respond_with(refusal)
    response = await client.post("/chat/", json=HELLO)
    assert (response.status_code, response.json()["metadata"]["history"]) == (200, "saved")
    assert response.json()["reply"]


@pytest.mark.parametrize("cut", [streamed("Go", "od", finish_reason=None, done=False)])
async def test_cut_stream_is_an_error_event(
    client: httpx.AsyncClient, model: ScriptedModel, memory: ScriptedMemory, cut: httpx2.Response
) -> None:
    """A stream that breaks gives `error` after the pieces, and nothing is saved."""
    model.respond_with(cut)
    response = await client.post("/chat/stream", json=HELLO)
    assert response.status_code == 200
    assert 'event: error\ndata: {"detail":"The model stopped' in response.text
    assert '"code":"model_cut_short"' in response.text
    assert "event: done" not in response.text
    assert memory.calls("append") == []


async def test_endless_tool_calls_end_the_stream(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """On the stream, the tool calls are sent as they happen, then the error."""
    model.respond_with(*[streamed_tool_call() for _ in range(20)])
    response = await client.post("/chat/stream", json=HELLO)
    assert response.text.startswith('event: tool\ndata: {"name":"get_current_time","arguments":"{}"}')
    assert '"code":"model_tool_loop"' in response.text


@pytest.mark.parametrize("ended_by", ["stop", None])
async def test_stream_may_end_either_way(client: httpx.AsyncClient, model: ScriptedModel, ended_by: str | None) -> None:
    """A stream may end with a finish reason only, or with `[DONE]` only."""
    model.respond_with(events(text_events("Fine", finish_reason=ended_by, done=ended_by is None)))
    assert "event: done" in (await client.post("/chat/stream", json=HELLO)).text


@pytest.mark.parametrize("path", PATHS)
async def test_hanging_model_is_504(memory: ScriptedMemory, model: ScriptedModel, path: str) -> None:
    """A model that never responds is given up at the turn's time limit."""

    async def hang() -> httpx2.Response:
        await asyncio.Event().wait()
        raise AssertionError

    model.respond_with(hang)
    settings = Settings(llm_base_url="http://model.test/v1", llm_model="scripted", turn_timeout_seconds=0.05)
    async with client_of(_app(settings, memory, model)) as client:
        response = await client.post(path, json=HELLO)
    assert (response.status_code, response.json()["code"]) == (504, "turn_timeout")
    assert memory.calls("append") == []


async def test_session_is_usable_after_a_failure(
    client: httpx.AsyncClient, model: ScriptedModel, memory: ScriptedMemory
) -> None:
    """After a failed turn the next turn of the session gets a reply and is saved."""
    model.respond_with(refused(401))
    body = {**HELLO, "metadata": {"session_id": "s1"}}
    assert (await client.post("/chat/", json=body)).status_code == 502
    assert (await client.post("/chat/", json=body)).json()["metadata"]["history"] == "saved"
    assert len(memory.sessions["s1"].entries) == 2


def _app(settings: Settings, memory: ScriptedMemory, model: ScriptedModel) -> FastAPI:
    return create_app(
        settings,
        memory_transport=httpx.MockTransport(memory.handle),
        model_transport=httpx2.MockTransport(model.handle),
    )


def client_of(app: FastAPI) -> httpx.AsyncClient:
    """A client of this app."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://chat.test")
