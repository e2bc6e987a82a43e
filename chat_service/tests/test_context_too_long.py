"""A model whose context is smaller than CONTEXT_BUDGET_CHARS: sessions stay usable and the operator is told."""

import json
from typing import Any

import httpx
import httpx2
import pytest

from agent.prompts import SUMMARY_INSTRUCTIONS, read_summary_task
from main import create_app
from settings import Settings
from tests.asgi_calls import background_ended, parsed_events
from tests.scripted_memory import ScriptedMemory
from tests.scripted_model import ScriptedModel, events, streamed, streamed_tool_call, text, text_events, tool_call

PATHS = ["/chat/", "/chat/stream"]
BUDGET = 8_000
Json = dict[str, object]
HELLO: Json = {"user_id": "alice", "text": "Hello", "metadata": {"session_id": "s1"}}

OPENAI: Json = {"error": {"code": "context_length_exceeded", "type": "invalid_request_error", "message": "sk-123"}}
REFUSALS: list[tuple[int, object]] = [
    (400, OPENAI),
    (400, {"error": {"message": "This model's maximum context length is 4096 tokens.", "type": "BadRequestError"}}),
    (400, [{"error": {"code": 400, "message": "The input token count (9) exceeds the maximum number of tokens"}}]),
    (400, {"error": {"code": 400, "type": "exceed_context_size_error", "message": "too big"}}),
    (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"}}),
    (422, {"message": "Prompt contains 9 tokens, too large for model with 8 maximum context length"}),
    (400, {"error": {"code": "tokens_limit_reached", "message": "no"}}),
    (413, {"error": {"message": "Request too large"}}),
    (413, None),
    (400, {"error": {"request": "x" * 5_000, "message": "The maximum context length is 8192"}}),
]


def refused(status: int = 400, body: object = OPENAI) -> httpx2.Response:
    """An endpoint's refusal of what does not fit into the model's context."""
    return httpx2.Response(status, json=body) if body is not None else httpx2.Response(status, text="<h1>413</h1>")


@pytest.fixture
def settings() -> Settings:
    """A budget that the tests fill quickly."""
    return Settings(llm_base_url="http://model.test/v1", llm_model="scripted", context_budget_chars=BUDGET)


def fill(memory: ScriptedMemory, turns: int, length: int) -> None:
    """Store this many turns of two messages of this length in session s1."""
    for number in range(turns):
        memory.remember(
            "s1", "alice", ("user", f"<q{number}>".ljust(length, "x")), ("assistant", f"<a{number}>".ljust(length, "x"))
        )


@pytest.mark.parametrize(("status", "body"), REFUSALS)
@pytest.mark.parametrize("path", PATHS)
async def test_reply_is_made_with_half_the_window(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel, path: str, status: int, body: object
) -> None:
    """Refused as too long, the model is asked once more with half the window; metadata says so, a summary begins."""
    fill(memory, 5, 500)
    model.respond_with(refused(status, body), text("Good.") if path == "/chat/" else streamed("Good."))
    response = await client.post(path, json=HELLO)
    done: dict[str, Any] = response.json() if path == "/chat/" else parsed_events(response.text)[-1][1]
    metadata = done["metadata"]
    assert (metadata["context"], metadata["history"], metadata["finish"]) == ("reduced", "saved", "stop")
    assert [str(it["content"])[:4] for it in model.requests[1].messages[1:]] == [
        *("<q1>", "<a1>", "<q2>", "<a2>", "<q3>", "<a3>", "<q4>", "<a4>"),
        "Hell",
    ]
    assert metadata["summary_lag"] == 2
    await background_ended()
    assert (memory.sessions["s1"].summary or {})["through"] == 10


async def test_only_what_the_summary_lacks_is_given_again(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """The second time the model is given only messages that the summary does not cover."""
    fill(memory, 5, 100)
    memory.sessions["s1"].summary = {"text": "They talked.", "through": 8}
    model.respond_with(refused(), text("Good."))
    metadata = (await client.post("/chat/", json=HELLO)).json()["metadata"]
    assert [str(it["content"])[:4] for it in model.requests[1].messages[1:]] == ["<q4>", "<a4>", "Hell"]
    assert "summary_lag" not in metadata


@pytest.mark.parametrize("path", PATHS)
async def test_session_recovers_from_a_window_far_too_long(memory: ScriptedMemory, path: str) -> None:
    """A model that takes a tenth of the budget: the turn fails with the setting's name, and later ones get replies."""
    model = SmallModel(900)
    app = create_app(
        Settings(llm_base_url="http://model.test/v1", llm_model="scripted", context_budget_chars=BUDGET),
        memory_transport=httpx.MockTransport(memory.handle),
        model_transport=httpx2.MockTransport(model.handle),
    )
    fill(memory, 3, 1_000)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://chat.test") as client:
        failed = await client.post(path, json=HELLO)
        assert (failed.status_code, failed.json()["code"]) == (502, "model_context_too_long")
        assert "CONTEXT_BUDGET_CHARS" in failed.json()["detail"]
        assert "A summary of it has been started" in failed.json()["detail"]
        await background_ended()
        assert (memory.sessions["s1"].summary or {})["through"] == 6
        for _ in range(12):
            response = await client.post(path, json={**HELLO, "text": "x" * 200})
            assert '"history":"saved"' in response.text
            await background_ended()


class SmallModel:
    """A model that refuses more than a number of characters in its messages, whole or streamed."""

    def __init__(self, most_chars: int) -> None:
        self._most_chars = most_chars

    async def handle(self, request: httpx2.Request) -> httpx2.Response:
        """Respond to one request."""
        body = json.loads(request.content)
        system, *messages = body["messages"]
        length = sum(len(it["content"]) for it in messages)
        if length > self._most_chars:
            return refused()
        if system["content"] == SUMMARY_INSTRUCTIONS:
            assert read_summary_task(messages[0]["content"]) is not None
            return text("They talked about this and that.")
        return streamed("Good.") if body.get("stream") else text("Good.")


@pytest.mark.parametrize("path", PATHS)
async def test_long_message_alone_is_refused_at_once(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel, path: str
) -> None:
    """Without earlier messages less cannot be given: the model is asked once, nothing is saved or summarized."""
    model.respond_with(refused(), refused())
    response = await client.post(path, json={**HELLO, "metadata": None})
    assert (response.status_code, response.json()["code"]) == (502, "model_context_too_long")
    assert "summary" not in response.json()["detail"]
    assert "send a shorter message" in response.json()["detail"]
    assert "sk-123" not in response.text
    assert len(model.requests) == 1
    assert memory.calls("append") == []


@pytest.mark.parametrize(("turns", "summarized"), [(1, 0), (3, 6)])
async def test_summary_is_not_promised_without_messages_for_it(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel, turns: int, summarized: int
) -> None:
    """If only the newest turn is there, or a summary covers all, only a shorter message helps, and no repeat."""
    fill(memory, turns, 20)
    memory.sessions["s1"].summary = {"text": "They talked.", "through": summarized} if summarized else None
    model.respond_with(refused(), refused())
    response = await client.post("/chat/", json={**HELLO, "text": "x" * 5_000})
    assert response.json()["code"] == "model_context_too_long"
    assert "again" not in response.json()["detail"]
    await background_ended()
    assert memory.calls("summary") == []


@pytest.mark.parametrize("path", PATHS)
async def test_refusal_after_a_tool_call_is_not_repeated(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel, path: str
) -> None:
    """Once the model has given something, the run does not begin again; a summary relieves the session."""
    fill(memory, 5, 500)
    model.respond_with(tool_call() if path == "/chat/" else streamed_tool_call(), refused())
    response = await client.post(path, json=HELLO)
    assert '"code":"model_context_too_long"' in response.text
    await background_ended()
    assert (memory.sessions["s1"].summary or {})["through"] == 8
    assert memory.calls("append") == []


async def test_refusal_inside_a_stream_counts_too(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """Some endpoints begin the stream and then send the refusal as an event."""
    fill(memory, 2, 500)
    model.respond_with(events([b"data: " + json.dumps(OPENAI).encode() + b"\n\n"]), events(text_events("Good.")))
    assert parsed_events((await client.post("/chat/stream", json=HELLO)).text)[-1][1]["reply"] == "Good."


async def test_refusal_after_text_is_not_repeated(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """Text that was sent cannot be taken back, so the run does not begin again; a summary relieves the session."""
    fill(memory, 5, 500)
    said = text_events("The answer ", "is", finish_reason=None, done=False)
    model.respond_with(events([*said, b"data: " + json.dumps(OPENAI).encode() + b"\n\n"]), text("A summary."))
    found = parsed_events((await client.post("/chat/stream", json=HELLO)).text)
    assert [data.get("text") or data["code"] for _, data in found] == ["The answer ", "is", "model_context_too_long"]
    await background_ended()
    assert (memory.sessions["s1"].summary or {})["through"] == 8
    assert memory.calls("append") == []


@pytest.mark.parametrize(
    "body",
    [{"error": {"message": "max_tokens is too large: 9"}}, {"error": {"message": "the context is fine"}}, None],
)
async def test_other_refusals_are_not_repeated(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel, body: object
) -> None:
    """A 400 for another reason keeps its code, after one attempt."""
    fill(memory, 5, 500)
    model.respond_with(refused(400, body))
    response = await client.post("/chat/", json=HELLO)
    assert (response.status_code, response.json()["code"]) == (502, "model_refused_request")
    assert len(model.requests) == 1
