"""Calls to the sidecar: paths, tokens, trace context, and the failures of a real transport."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from urllib.parse import parse_qs, unquote

import httpx
import pytest
from pydantic import SecretStr

from errors import MemoryFailure, MemoryRejection
from memory_client import PAGE_MESSAGES, MemoryClient
from memory_models import NO_SUMMARY, ConversationEntry, Summary
from models import Id
from settings import Settings
from sidecar_http import MAX_RESPONSE_BYTES, open_memory_http
from tests.scripted_memory import ScriptedMemory, refusal
from turn.saving import MAX_ENTRY_BYTES

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("name", ["a+b", "a&b=c", "a@b;c", "Zoë", "日本", "a..b", "~user", "a'b\"c", "x" * 128])
async def test_ids_are_quoted_whole(memory: ScriptedMemory, name: Id) -> None:
    """An id reaches the memory service unchanged, in the path and in the query."""
    client = MemoryClient(open_memory_http(Settings(), httpx.MockTransport(memory.handle)))
    memory.remember(name, name, ("user", "Hi"), ("assistant", "Hi"))
    assert (await client.profile(name)).name == name
    assert len((await client.recent(name, name, 20)).history) == 2


async def test_ids_survive_the_real_transport() -> None:
    """The pooled transport sends an id unchanged, also its plus sign, in path and query."""
    seen: list[str] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readuntil(b"\r\n\r\n")).decode().split(" ")[1])
        body = b'{"history":[]}'
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    name = "a+b&c=d;e@f,Zoë"
    async with await asyncio.start_server(respond, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with open_memory_http(Settings(dapr_http_port=port)) as http:
            await MemoryClient(http).recent(name, name, 20)
    path, _, query = seen[0].partition("?")
    assert unquote(path) == f"/v1.0/invoke/agent-memory-service/method/conversations/{name}"
    assert "+" not in path
    assert parse_qs(query) == {"last": ["20"], "user_id": [name]}


async def test_missing_sidecar_is_a_failure() -> None:
    """A refused connection is reported as unavailable memory."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    async with open_memory_http(Settings(dapr_http_port=port)) as http:
        with pytest.raises(MemoryFailure, match="memory_unavailable"):
            await MemoryClient(http).profile("alice")


async def test_dropped_connection_is_a_failure() -> None:
    """A request without a response is a failure, not a crash."""

    async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(drop, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with open_memory_http(Settings(dapr_http_port=port)) as http:
            with pytest.raises(MemoryFailure, match="memory_unavailable"):
                await MemoryClient(http).append("s1", "alice", "t1", [])


def test_a_part_that_is_not_sent_is_refused() -> None:
    """A query that was left out in silence could be the one that names the user."""
    with pytest.raises(TypeError, match="params"):
        open_memory_http(Settings()).build_request("GET", "memories/alice", params={"user_id": "alice"})


async def test_sidecar_token_is_sent(memory: ScriptedMemory) -> None:
    """Every call carries DAPR_API_TOKEN if it is set."""
    for token, header in ((None, None), (SecretStr("secret"), "secret")):
        http = open_memory_http(Settings(dapr_api_token=token), httpx.MockTransport(memory.handle))
        await MemoryClient(http).profile("alice")
        assert memory.calls("profile")[-1].headers.get("dapr-api-token") == header


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (refusal(422, "invalid_request"), "invalid_request"),
        (refusal(403, "not_owner"), "not_owner"),
        (refusal(401, "unauthorized"), "unauthorized"),
        (refusal(413, "history_too_large"), "history_too_large"),
    ],
)
async def test_rejections_carry_their_code(memory: ScriptedMemory, response: httpx.Response, code: str) -> None:
    """The memory service's own errors are rejections, with its codes."""
    memory.respond_next("profile", response)
    client = MemoryClient(open_memory_http(Settings(), httpx.MockTransport(memory.handle)))
    with pytest.raises(MemoryRejection, match=f"^{code}$"):
        await client.profile("alice")


SIDECAR_ERRORS = [
    (httpx.Response(401, text="invalid api token"), "sidecar_token_refused"),
    (httpx.Response(403, json={"errorCode": "ERR_DIRECT_INVOKE", "message": "denied"}), "sidecar_call_denied"),
    (httpx.Response(403, json={"errorCode": "ERR_DIRECT_INVOKE", "code": "not_owner"}), "sidecar_call_denied"),
    (httpx.Response(404, json={"errorCode": "ERR_DIRECT_INVOKE"}), "memory_answered_404"),
    (httpx.Response(408, text="timeout"), "sidecar_timeout"),
    (httpx.Response(410, html="<h1>Gone</h1>"), "memory_answered_410"),
    (httpx.Response(429, text="too many"), "sidecar_overloaded"),
    (httpx.Response(431, text="too large"), "memory_answered_431"),
    (httpx.Response(403, json={"code": "Not A Code"}), "sidecar_call_denied"),
    (httpx.Response(403, content=b"[" * 100_000), "sidecar_call_denied"),
]


@pytest.mark.parametrize(("response", "code"), SIDECAR_ERRORS)
async def test_errors_of_the_sidecar_are_no_rejections(
    client: httpx.AsyncClient,
    memory: ScriptedMemory,
    caplog: pytest.LogCaptureFixture,
    response: httpx.Response,
    code: str,
) -> None:
    """An error that is not the memory service's own neither ends the turn nor its save, and is reported by its code."""
    memory.respond_next("recall", response)
    memory.respond_next("append", response, response)
    body = {"user_id": "alice", "text": "Hello", "metadata": {"session_id": "s1"}}
    reply = await client.post("/chat/", json=body)
    assert (reply.status_code, reply.json()["metadata"]["history"]) == (200, "saved")
    assert len(memory.calls("append")) == 3
    assert f"memory not read code={code} " in caplog.text
    memory.respond_next("ready", response)
    assert (await client.get("/health/ready")).json()["code"] == code
    memory.respond_always(response, "append")
    assert (await client.post("/chat/", json=body)).json()["metadata"]["code"] == code


@pytest.mark.parametrize(("status", "code"), [(408, "body_too_slow"), (429, "too_many"), (425, "too_early")])
async def test_passing_rejection_is_retried(
    client: httpx.AsyncClient, memory: ScriptedMemory, status: int, code: str
) -> None:
    """A rejection of the memory service that can pass is retried. If it does not pass, nothing was saved."""
    body = {"user_id": "alice", "text": "Hello", "metadata": {"session_id": "s1"}}
    memory.respond_next("append", refusal(status, code))
    assert (await client.post("/chat/", json=body)).json()["metadata"]["history"] == "saved"
    memory.respond_always(refusal(status, code), "append")
    metadata = (await client.post("/chat/", json=body)).json()["metadata"]
    assert (metadata["history"], metadata["code"]) == ("not_saved", code)


@pytest.mark.parametrize("response", [httpx.Response(202), httpx.Response(200, json={"text": "Other", "through": 9})])
async def test_summary_is_stored_only_if_memory_returns_it(memory: ScriptedMemory, response: httpx.Response) -> None:
    """A success without the summary is a failure."""
    memory.respond_next("summary", response)
    client = MemoryClient(open_memory_http(Settings(), httpx.MockTransport(memory.handle)))
    with pytest.raises(MemoryFailure, match="memory_answer_not_understood"):
        await client.put_summary("s1", "a&b", Summary(text="Text", through=2), "e1", NO_SUMMARY)
    assert memory.calls("summary")[0].url.params["user_id"] == "a&b"


@pytest.mark.parametrize("response", [httpx.Response(200, html="<h1>Sign in</h1>"), httpx.Response(204)])
async def test_page_is_no_readiness(
    client: httpx.AsyncClient, memory: ScriptedMemory, response: httpx.Response
) -> None:
    """A success that is not the memory service's report does not make this service ready."""
    memory.respond_next("ready", response)
    ready = await client.get("/health/ready")
    assert (ready.status_code, ready.json()["code"]) == (503, "memory_answer_not_understood")


async def test_deeply_nested_response_is_a_failure(client: httpx.AsyncClient, memory: ScriptedMemory) -> None:
    """JSON nested too deeply to be read leaves memory unavailable; the reply is sent."""
    memory.respond_next("recall", httpx.Response(200, content=b'{"a":' * 50_000))
    memory.respond_next("append", httpx.Response(500, content=b'{"a":' * 50_000 + b"1" + b"}" * 50_000))
    body = {"user_id": "alice", "text": "Hello", "metadata": {"session_id": "s1"}}
    metadata = (await client.post("/chat/", json=body)).json()["metadata"]
    assert (metadata["memory"], metadata["history"]) == ("unavailable", "saved")


@pytest.mark.parametrize("path", ["/chat/", "/chat/stream"])
async def test_trace_context_is_passed_on(client: httpx.AsyncClient, memory: ScriptedMemory, path: str) -> None:
    """Every call of the turn carries the caller's trace and no other header of the caller."""
    sent = {
        "traceparent": TRACEPARENT,
        "tracestate": "a=1",
        "dapr-app-id": "elsewhere",
        "authorization": "Bearer x",
        "cookie": "c=1",
    }
    body = {"user_id": "alice", "text": "Hello", "metadata": {"session_id": "s1"}}
    await client.post(path, json=body, headers=sent)
    assert [kind for kind, _ in memory.requests] == ["recall", "append"]
    for _, request in memory.requests:
        assert (request.headers["traceparent"], request.headers["tracestate"]) == (TRACEPARENT, "a=1")
        assert {"dapr-app-id", "authorization", "cookie"}.isdisjoint(request.headers)


@pytest.mark.parametrize("traceparent", [None, "nonsense", f"00-{'0' * 32}-{'1' * 16}-01"])
async def test_trace_starts_here_otherwise(
    client: httpx.AsyncClient, memory: ScriptedMemory, traceparent: str | None
) -> None:
    """Without a valid trace the turn starts one trace for all its calls."""
    body = {"user_id": "alice", "text": "Hello", "metadata": {"session_id": "s1"}}
    await client.post("/chat/", json=body, headers={} if traceparent is None else {"traceparent": traceparent})
    traces = {request.headers["traceparent"] for _, request in memory.requests}
    assert len(traces) == 1
    assert traces != {traceparent}


async def in_chunks(size: int) -> AsyncIterator[bytes]:
    """This many bytes of a JSON text."""
    yield b'{"name": "'
    for _ in range(size // 65_536 + 1):
        yield b"x" * 65_536


@pytest.mark.parametrize(
    "response",
    [
        lambda: httpx.Response(200, content=in_chunks(MAX_RESPONSE_BYTES)),
        lambda: httpx.Response(200, content=in_chunks(10), headers={"content-encoding": "gzip"}),
    ],
    ids=["too long", "compressed"],
)
async def test_response_that_would_fill_the_memory_is_a_failure(response: Callable[[], httpx.Response]) -> None:
    """A response is read up to its bound, and never decompressed."""
    client = MemoryClient(open_memory_http(Settings(), httpx.MockTransport(lambda _: response())))
    with pytest.raises(MemoryFailure, match="memory_unavailable"):
        await client.profile("alice")


def test_longest_page_of_history_can_be_read() -> None:
    """A page of the longest messages that memory keeps is shorter than the longest response."""
    assert PAGE_MESSAGES * (MAX_ENTRY_BYTES + 200) < MAX_RESPONSE_BYTES


async def test_cookies_are_not_kept(memory: ScriptedMemory) -> None:
    """A cookie of a peer is not sent again."""
    memory.respond_next("ready", httpx.Response(200, json={"status": "ok"}, headers={"set-cookie": "c=1"}))
    client = MemoryClient(open_memory_http(Settings(), httpx.MockTransport(memory.handle)))
    for _ in range(2):
        await client.check_ready()
    assert "cookie" not in memory.calls("ready")[-1].headers


async def test_tutorials_sessions_can_be_claimed_unless_an_owner_is_required(memory: ScriptedMemory) -> None:
    """Without identity, or where it is allowed, the calls do not ask for an owner."""
    issuer = "https://issuer.test"
    for settings, required in (
        (Settings(), False),
        (Settings(oidc_issuer=issuer, oidc_audience=("chat",)), True),
        (Settings(oidc_issuer=issuer, oidc_audience=("chat",), oidc_claim_sessions=True), False),
    ):
        assert settings.owner_required is required
        http = open_memory_http(settings, httpx.MockTransport(memory.handle))
        client = MemoryClient(http, owner_required=settings.owner_required)
        await client.recent("s1", "alice", 20)
        await client.append(
            "s1", "alice", "t1", [ConversationEntry(role=it, content="a") for it in ("user", "assistant")]
        )
        asked = "owner_required" in str(memory.calls("history")[-1].url)
        assert (asked, b"owner_required" in memory.calls("append")[-1].content) == (required, required)
