"""Connections to the model's endpoint that break, on real sockets: each failure is told as what it is."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI

from main import create_app
from settings import Settings
from tests.asgi_calls import StreamedCall, parsed_events
from tests.scripted_memory import ScriptedMemory
from tests.scripted_model import chunk

HELLO: dict[str, object] = {"user_id": "alice", "text": "Hello"}
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
Respond = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def endpoint(respond: Respond, requests: list[bytes]) -> AsyncIterator[str]:
    """An endpoint at this base URL that responds to each request by its bytes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        await respond(writer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


def service_at(url: str) -> FastAPI:
    """The chat service with this endpoint."""
    return create_app(
        Settings(llm_base_url=url, llm_model="m"),
        memory_transport=httpx.MockTransport(ScriptedMemory().handle),
        callback_transport=httpx.MockTransport(lambda _: httpx.Response(204)),
    )


@asynccontextmanager
async def service(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of that service."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(service_at(url)), base_url="http://chat.test") as client:
        yield client


def sending(data: bytes) -> Respond:
    """Send this and close the connection."""

    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return respond


async def reset(writer: asyncio.StreamWriter) -> None:
    """Reset the connection."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


BROKEN = {
    "closed": sending(b""),
    "reset": reset,
    "closed within the headers": sending(HEAD),
    "not HTTP": sending(b"SSH-2.0-OpenSSH\r\n\r\n"),
    "endless header": sending(HEAD + b"x: " + b"a" * 100_000),
    "closed within the body": sending(HEAD + b"content-length: 100\r\n\r\n{"),
    "bad chunk": sending(HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n{"),
}


@pytest.mark.parametrize("respond", [pytest.param(respond, id=name) for name, respond in BROKEN.items()])
async def test_broken_connection_is_retried_and_told(respond: Respond) -> None:
    """It is neither a timeout nor a fault of this service."""
    requests: list[bytes] = []
    async with endpoint(respond, requests) as url, service(url) as client:
        response = await client.post("/chat/", json=HELLO)
    assert (response.status_code, response.json()["code"], len(requests)) == (503, "model_unreachable", 3)


async def test_nobody_listens() -> None:
    """A refused connection is told as such."""
    async with endpoint(reset, []) as url:
        pass
    async with service(url) as client:
        response = await client.post("/chat/", json=HELLO)
    assert (response.status_code, response.json()["code"]) == (503, "model_unreachable")


@pytest.mark.parametrize("end", [sending(b""), reset], ids=["closed", "reset"])
async def test_stream_that_breaks_is_cut_short(end: Respond) -> None:
    """What was said is there, and the error says that the reply was cut."""
    event = chunk({"role": "assistant", "content": "Hel"})
    said = asyncio.Event()

    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + b"%x\r\n%s\r\n" % (len(event), event))
        await said.wait()
        await end(writer)

    async with endpoint(respond, []) as url, StreamedCall(service_at(url), "/chat/stream", HELLO) as call:
        await call.until(lambda text: "event: delta" in text)
        said.set()
        text = await call.ended()
    name, data = parsed_events(text)[-1]
    assert (name, data["code"]) == ("error", "model_cut_short")
