"""What the model's endpoint sends: made well-formed where it comes in, and complete only when it says so."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator

import httpx
import httpx2
import pytest

from llm.completions import MAX_TOOL_CALLS
from main import create_app
from settings import Settings
from tests.asgi_calls import parsed_events
from tests.model_server import serving
from tests.scripted_memory import ScriptedMemory
from tests.scripted_model import Json, ScriptedModel, chunk, completion, events, streamed_tool_call, text, tool_call

HELLO = {"user_id": "alice", "text": "Hello", "metadata": {"session_id": "s1"}}
DONE = b"data: [DONE]\n\n"
HIGH, LOW = "\ud83d", "\ude00"
DEEP = "[" * 100_000 + "]" * 100_000


def piece(content: str, finish_reason: str | None = None) -> bytes:
    """One piece of text as an event."""
    return chunk({"role": "assistant", "content": content}, finish_reason)


async def streamed_turn(client: httpx.AsyncClient) -> list[tuple[str, dict[str, object]]]:
    """The events of a streamed turn."""
    response = await client.post("/chat/stream", json=HELLO)
    assert response.status_code == 200, response.text
    return parsed_events(response.text)


def kept_reply(memory: ScriptedMemory) -> str | None:
    """The reply in the history."""
    return memory.sessions["s1"].entries[-1]["content"]


@pytest.mark.parametrize(
    "usage",
    [
        "many",
        [],
        {"prompt_tokens": 1.5},
        {"prompt_tokens_details": 7},
        {"prompt_tokens_details": {"cached_tokens": 1.5}},
        {"prompt_tokens_details": {"cached_tokens": [1]}},
        {"prompt_tokens_details": {"cache_write_tokens": "many"}},
        {"completion_tokens_details": {"reasoning_tokens": "x"}},
    ],
)
async def test_counts_that_cannot_be_read_fail_no_reply(
    client: httpx.AsyncClient, model: ScriptedModel, usage: object
) -> None:
    """The text is whole, so the reply is."""
    whole = json.loads(completion({"role": "assistant", "content": "Hi"}, "stop").content) | {"usage": usage}
    end = json.dumps(
        {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": usage}
    )
    model.respond_with(
        httpx2.Response(200, json=whole), events([piece("Hi"), piece("", "stop"), f"data: {end}\n\n".encode(), DONE])
    )
    assert (await client.post("/chat/", json=HELLO)).json()["reply"] == "Hi"
    found = await streamed_turn(client)
    assert (found[-1][0], found[-1][1]["reply"]) == ("done", "Hi")


@pytest.mark.parametrize(
    ("pieces", "reply"),
    [
        (["Hi ", HIGH, LOW, "!"], "Hi \U0001f600!"),
        (["Hi " + HIGH, "!"], "Hi \ufffd!"),
        (["Hi " + LOW], "Hi \ufffd"),
        (["Hi " + HIGH], "Hi \ufffd"),
    ],
)
async def test_half_characters_of_a_stream_are_joined_or_replaced(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel, pieces: list[str], reply: str
) -> None:
    """A character cut in two between pieces is joined again, a lone half is replaced; the turn is saved."""
    model.respond_with(events([*(piece(it) for it in pieces), piece("", "stop"), DONE]))
    found = await streamed_turn(client)
    assert "".join(str(data["text"]) for name, data in found if name == "delta") == reply
    assert (found[-1][0], found[-1][1]["reply"]) == ("done", reply)
    assert kept_reply(memory) == reply


async def test_half_character_of_a_whole_reply_is_replaced(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """A lone half of a character in a whole reply is replaced, and the turn is saved."""
    model.respond_with(text("Hi " + HIGH))
    assert (await client.post("/chat/", json=HELLO)).json()["reply"] == "Hi \ufffd"
    assert kept_reply(memory) == "Hi \ufffd"


@pytest.mark.parametrize(
    "arguments",
    [json.dumps({"zone": HIGH + "x"}, ensure_ascii=False), json.dumps({"zone": HIGH}), json.dumps({"zone": "x" + LOW})],
)
@pytest.mark.parametrize("path", ["/chat/", "/chat/stream"])
async def test_half_characters_in_tool_arguments_do_not_break_the_turn(
    client: httpx.AsyncClient, model: ScriptedModel, memory: ScriptedMemory, arguments: str, path: str
) -> None:
    """Half a character in tool arguments is replaced, and the tool is called."""
    if path == "/chat/":
        model.respond_with(tool_call(arguments), text("It is late."))
    else:
        model.respond_with(streamed_tool_call(arguments), events([piece("It is late.", "stop"), DONE]))
    response = await client.post(path, json=HELLO)
    assert "It is late." in response.text
    assert model.requests[1].messages[-1]["role"] == "tool"


@pytest.mark.parametrize(
    "parts",
    [
        [piece("The marker is data: [DONE]")],
        [piece('It sent "finish_reason": "stop" and broke')],
        [piece("Half", "")],
        [piece("Half"), b": [DONE]\n\n"],
        [piece("Half"), b"data: [DONE"],
    ],
    ids=["marker in text", "reason in text", "empty reason", "marker in a comment", "cut marker"],
)
async def test_stream_without_its_end_is_cut_short(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel, parts: list[bytes]
) -> None:
    """A stream is whole only if a parsed chunk gives a finish reason or the end line itself came."""
    model.respond_with(events(parts))
    name, error = (await streamed_turn(client))[-1]
    assert (name, error["code"]) == ("error", "model_cut_short")
    assert memory.calls("append") == []


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
async def test_any_chunking_and_line_ends_are_read(
    client: httpx.AsyncClient, model: ScriptedModel, size: int, line_end: bytes
) -> None:
    """Comments, ids and empty blocks are skipped, however the bytes are cut and the lines end."""
    sent = b"\xef\xbb\xbf: hi\n\nid: 1\n: alive\n\nretry: 5\n\n" + piece("Grü\u00df ") + b"event: message\nid:2\n"
    sent += piece("Gott.", "stop") + DONE
    sent = sent.replace(b"\n", line_end)
    model.respond_with(events([sent[start : start + size] for start in range(0, len(sent), size)]))
    assert (await streamed_turn(client))[-1][1]["reply"] == "Grüß Gott."


@pytest.mark.parametrize(
    "body",
    [
        '{"choices": DEEP}',
        '{"choices": [{"index": 0, "message": {"role": "assistant", "content": DEEP}}]}',
        '{"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "x": '
        + "[" * 99
        + "]" * 99
        + "}]}",
    ],
    ids=["choices", "content", "beside the message"],
)
async def test_deeply_nested_reply_is_a_bad_answer(client: httpx.AsyncClient, model: ScriptedModel, body: str) -> None:
    """JSON nested too deeply is no chat completion: 502, whole and streamed."""
    headers = {"content-type": "application/json"}
    body = body.replace("DEEP", DEEP)
    model.respond_with(
        httpx2.Response(200, content=body.encode(), headers=headers),
        events([b"data: " + body.replace("message", "delta").encode() + b"\n\n", DONE]),
    )
    for path in ("/chat/", "/chat/stream"):
        response = await client.post(path, json=HELLO)
        assert (response.status_code, response.json()["code"]) == (502, "model_bad_answer")


async def test_deeply_nested_error_of_the_endpoint(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """An endpoint's error keeps its meaning, however its body is nested."""
    for path in ("/chat/", "/chat/stream"):
        model.respond_with(httpx2.Response(401, content=DEEP.encode(), headers={"content-type": "application/json"}))
        response = await client.post(path, json=HELLO)
        assert (response.status_code, response.json()["code"]) == (502, "model_key_refused")


@pytest.mark.parametrize("path", ["/chat/", "/chat/stream"])
async def test_deeply_nested_tool_arguments(client: httpx.AsyncClient, model: ScriptedModel, path: str) -> None:
    """Tool arguments nested too deeply have the status of a bad answer."""
    if path == "/chat/":
        model.respond_with(tool_call(DEEP), text("It is late."))
    else:
        model.respond_with(streamed_tool_call(DEEP), events([piece("It is late.", "stop"), DONE]))
    response = await client.post(path, json=HELLO)
    assert (response.status_code, response.json()["code"]) == (502, "model_bad_answer")


async def test_compressed_replies_are_read(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """An endpoint, or a proxy before it, may compress what it sends."""
    headers = {"content-encoding": "gzip", "content-type": "text/event-stream"}
    sent = gzip.compress(piece("Good.", "stop") + DONE)
    model.respond_with(httpx2.Response(200, headers=headers, content=_each([sent[:20], sent[20:]])))
    assert (await streamed_turn(client))[-1][1]["reply"] == "Good."
    whole = gzip.compress(text("Good.").content)
    model.respond_with(httpx2.Response(200, headers={**headers, "content-type": "application/json"}, content=whole))
    assert (await client.post("/chat/", json=HELLO)).json()["reply"] == "Good."


@pytest.mark.parametrize("path", ["/chat/", "/chat/stream"])
async def test_compression_that_cannot_be_read_is_a_bad_answer(
    client: httpx.AsyncClient, model: ScriptedModel, path: str
) -> None:
    """A body that is not compressed as its headers say: 502. An endpoint's error keeps its meaning."""
    kind = "application/json" if path == "/chat/" else "text/event-stream"
    headers = {"content-encoding": "gzip", "content-type": kind}
    for status, code in ((200, "model_bad_answer"), (401, "model_key_refused")):
        model.respond_with(httpx2.Response(status, headers=headers, content=_each([b"not compressed"])))
        response = await client.post(path, json=HELLO)
        assert (response.status_code, response.json()["code"]) == (502, code)


@pytest.mark.parametrize("path", ["/chat/", "/chat/stream"])
async def test_headers_beyond_ascii_do_no_harm(client: httpx.AsyncClient, model: ScriptedModel, path: str) -> None:
    """A header of the endpoint, or of a proxy before it, may hold any bytes."""
    reply = text("Good.") if path == "/chat/" else events([piece("Good.", "stop"), DONE])
    reply.headers = httpx2.Headers([*reply.headers.raw, (b"via", b"caf\xe9 \xff")])
    model.respond_with(reply)
    assert "Good." in (await client.post(path, json=HELLO)).text


@pytest.mark.parametrize("end", [[piece("", "stop")], [DONE]], ids=["reason", "marker"])
@pytest.mark.parametrize("fate", ["breaks", "hangs"])
async def test_what_happens_after_the_end_does_not_matter(
    client: httpx.AsyncClient, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch, end: list[bytes], fate: str
) -> None:
    """Once the reply is whole, a connection that breaks or stays open does not fail the turn."""
    monkeypatch.setattr("llm.transport.AFTER_FINISH_SECONDS", 0.02)

    async def parts() -> AsyncIterator[bytes]:
        for part in (piece("Good."), *end):
            yield part
        if fate == "breaks":
            raise httpx2.RemoteProtocolError("closed too early")
        await asyncio.Event().wait()

    model.respond_with(events(parts()))
    async with asyncio.timeout(2):
        assert (await streamed_turn(client))[-1][1]["reply"] == "Good."


@pytest.mark.parametrize("path", ["/chat/", "/chat/stream"])
async def test_endless_response_is_given_up(
    client: httpx.AsyncClient, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """A response without end is given up at a number of bytes."""
    monkeypatch.setattr("llm.transport.MAX_RESPONSE_BYTES", 10_000)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b": " + b"x" * 1_000 + b"\n\n"

    kind = "application/json" if path == "/chat/" else "text/event-stream"
    model.respond_with(httpx2.Response(200, headers={"content-type": kind}, content=endless()))
    response = await client.post(path, json=HELLO)
    assert (response.status_code, response.json()["code"]) == (502, "model_bad_answer")


async def test_event_without_an_end_is_given_up(
    client: httpx.AsyncClient, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event of a stream is given up at a number of bytes, long before the response is."""
    monkeypatch.setattr("llm.sse.MAX_EVENT_BYTES", 10_000)
    sent: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        yield b"data: "
        while True:
            sent.append(1_000)
            yield b"x" * 1_000

    model.respond_with(events(endless()))
    response = await client.post("/chat/stream", json=HELLO)
    assert (response.status_code, response.json()["code"]) == (502, "model_bad_answer")
    assert sum(sent) <= 12_000


@pytest.mark.parametrize("path", ["/chat/", "/chat/stream"])
async def test_long_error_of_the_endpoint_is_cut(
    client: httpx.AsyncClient, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """An error without end keeps the meaning of its status, and no more than its beginning is read."""
    monkeypatch.setattr("llm.transport.MAX_ERROR_BYTES", 10_000)
    sent: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            sent.append(1_000)
            yield b"x" * 1_000

    model.respond_with(httpx2.Response(401, content=endless()))
    response = await client.post(path, json=HELLO)
    assert (response.status_code, response.json()["code"]) == (502, "model_key_refused")
    assert sum(sent) <= 12_000


async def test_error_event_is_the_endpoints_failure(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """An event named `error` is a failure of the endpoint, whatever its data."""
    model.respond_with(events([b'event: error\ndata: {"message": "sk-123"}\n\n', DONE]))
    response = await client.post("/chat/stream", json=HELLO)
    assert (response.status_code, response.json()["code"]) == (502, "model_failed")
    assert "sk-123" not in response.text


@pytest.mark.parametrize("finish", ["stop", "length", "content_filter"])
async def test_finish_reason_is_reported(
    client: httpx.AsyncClient, model: ScriptedModel, caplog: pytest.LogCaptureFixture, finish: str
) -> None:
    """The metadata and the turn's log line say how the model ended its reply, streamed or not."""
    caplog.set_level("INFO")
    model.respond_with(completion({"role": "assistant", "content": "Once upon"}, finish))
    metadata = (await client.post("/chat/", json=HELLO)).json()["metadata"]
    assert (metadata["finish"], metadata["history"]) == (finish, "saved")
    model.respond_with(events([piece("Once upon", finish), DONE]))
    assert (await streamed_turn(client))[-1][1]["metadata"]["finish"] == finish  # type: ignore[index]
    assert caplog.text.count(f" finish={finish} ") == 2


async def test_finish_reason_that_is_no_word_is_not_passed_on(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """An endpoint's text is never passed on: a reason that is not a plain word is reported as `other`."""
    model.respond_with(completion({"role": "assistant", "content": "Hi"}, "because: sk-123"))
    assert (await client.post("/chat/", json=HELLO)).json()["metadata"]["finish"] == "other"


async def test_end_without_a_reason_is_not_invented(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """If the endpoint gives no reason, none is reported."""
    model.respond_with(events([piece("Good."), DONE]))
    assert "finish" not in (await streamed_turn(client))[-1][1]["metadata"]  # type: ignore[operator]


async def test_connection_is_used_again(memory: ScriptedMemory) -> None:
    """Streamed and whole replies leave their connection to the next turn."""

    async def respond(request: bytes) -> bytes:
        return piece("Good.", "stop") + DONE if b'"stream":true' in request else text("Good.").content

    opened: list[int] = []
    async with serving(respond, opened) as url:
        settings = Settings(llm_base_url=url, llm_model="scripted")
        app = create_app(settings, memory_transport=httpx.MockTransport(memory.handle))
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://chat.test") as client,
        ):
            for path in ("/chat/stream", "/chat/", "/chat/stream"):
                assert "Good." in (await client.post(path, json=HELLO)).text
    assert len(opened) == 1


async def _each(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize(("count", "code"), [(MAX_TOOL_CALLS, None), (MAX_TOOL_CALLS + 1, "model_bad_answer")])
@pytest.mark.parametrize("path", ["/chat/", "/chat/stream"])
async def test_tool_calls_of_one_response_are_bounded(
    client: httpx.AsyncClient, model: ScriptedModel, path: str, count: int, code: str | None
) -> None:
    """A response with more tool calls than anybody asks for is a bad answer: to run them would stall everybody."""
    called = {"type": "function", "function": {"name": "get_current_time", "arguments": "{}"}}
    calls: list[Json] = [{"index": number, "id": f"c{number}", **called} for number in range(count)]
    if path == "/chat/":
        model.respond_with(completion({"role": "assistant", "content": None, "tool_calls": calls}, "tool_calls"))
    else:
        pieces = [chunk({"tool_calls": [call]}) for call in calls]
        model.respond_with(events([*pieces, chunk({}, "tool_calls"), b"data: [DONE]\n\n"]))
    text = (await client.post(path, json=HELLO)).text
    assert (code or '"history":"saved"') in text
    assert len(model.requests) == (2 if code is None else 1)
