"""Calls to the sidecar: paths, tokens, trace context, and the failures of a real transport."""

import asyncio
import socket
from urllib.parse import parse_qs, unquote

import httpx
import pytest
from pydantic import SecretStr

from errors import MemoryFailure, MemoryRejection
from memory_client import MemoryClient, open_memory_http
from models import Id
from settings import Settings
from tests.scripted_memory import ScriptedMemory

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


async def test_sidecar_token_is_sent(memory: ScriptedMemory) -> None:
    """Every call carries DAPR_API_TOKEN if it is set."""
    for token, header in ((None, None), (SecretStr("secret"), "secret")):
        http = open_memory_http(Settings(dapr_api_token=token), httpx.MockTransport(memory.handle))
        await MemoryClient(http).profile("alice")
        assert memory.calls("profile")[-1].headers.get("dapr-api-token") == header


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (httpx.Response(401, text="invalid api token"), "memory_answered_401"),
        (httpx.Response(404, json={"errorCode": "ERR_DIRECT_INVOKE"}), "memory_answered_404"),
        (httpx.Response(422, json={"detail": [], "code": "invalid_request"}), "invalid_request"),
        (httpx.Response(403, json={"code": "Not A Code"}), "memory_answered_403"),
    ],
)
async def test_rejections_carry_their_code(memory: ScriptedMemory, response: httpx.Response, code: str) -> None:
    """The memory service's error codes are passed on; a sidecar's text is not."""
    memory.respond_next("profile", response)
    client = MemoryClient(open_memory_http(Settings(), httpx.MockTransport(memory.handle)))
    with pytest.raises(MemoryRejection, match=f"^{code}$"):
        await client.profile("alice")


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
    assert len(memory.requests) == 3
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
