"""Connections that do not finish their headers are closed. A real server, since the app never sees such a request."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import ClassVar, cast

import pytest
import uvicorn

import bounded_http
from bounded_http import CROWDED_SHARE, MAX_HEADER_BYTES, BoundedHttp
from main import create_app
from settings import Settings

MAX_CONNECTIONS = 20
"""The server's limit of connections in these tests."""
CROWDED = int(CROWDED_SHARE * MAX_CONNECTIONS)
"""Number of connections from which on a new one replaces an idle one."""

BEGUN = b"GET /health/live HTTP/1.1\r\nhost: chat.test\r\n"


class WatchedHttp(BoundedHttp):
    """Reports the connections of the server, and the end of one, to the test."""

    lost: ClassVar[asyncio.Event]
    of_server: ClassVar[set[object]]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Note the server's connections."""
        super().connection_made(transport)
        WatchedHttp.of_server = cast("set[object]", self.connections)

    def connection_lost(self, exc: Exception | None) -> None:
        """Set the event."""
        super().connection_lost(exc)
        self.lost.set()


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """The port of the service, run by uvicorn with this protocol and a few connections."""
    WatchedHttp.lost = asyncio.Event()
    config = uvicorn.Config(
        create_app(Settings()),
        port=0,
        http=WatchedHttp,
        log_config=None,
        lifespan="off",
        limit_concurrency=MAX_CONNECTIONS,
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    yield server.servers[0].sockets[0].getsockname()[1]
    await server.shutdown()


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """Everything that arrives until the server closes the connection, also if a byte that it did not read resets it."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := await reader.read(65_536):
            received += piece
    return received


async def exchange(port: int, sent: bytes) -> bytes:
    """Send these bytes, and return everything until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    async with asyncio.timeout(5):
        received = await until_closed(reader)
    writer.close()
    return received


@pytest.mark.parametrize("sent", [b"", b"G", BEGUN, BEGUN + b"x-more: 1"])
async def test_unfinished_headers_are_given_up(port: int, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """A connection without the end of its headers is closed after a time, with 408 if a request had begun."""
    monkeypatch.setattr(bounded_http, "HEADER_SECONDS", 0.1)
    received = await exchange(port, sent)
    assert received.startswith(b"HTTP/1.1 408") if sent else received == b""


async def test_dripping_headers_are_given_up(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A header now and then does not keep a connection open."""
    monkeypatch.setattr(bounded_http, "HEADER_SECONDS", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(BEGUN)
    received = asyncio.create_task(until_closed(reader))
    async with asyncio.timeout(5):
        while not received.done():
            writer.write(b"x-more: 1\r\n")
            await asyncio.wait({received}, timeout=0.02)
    assert received.result().startswith(b"HTTP/1.1 408")
    writer.close()


@pytest.mark.parametrize("more", [b"x-more: 1\r\n" * (MAX_HEADER_BYTES // 11), b"x-more: " + b"x" * MAX_HEADER_BYTES])
async def test_endless_headers_are_refused(port: int, more: bytes) -> None:
    """Headers without end are refused after a number of bytes, whether they are many or one."""
    assert (await exchange(port, BEGUN + more)).startswith(b"HTTP/1.1 431")


async def test_connections_that_come_at_once_find_room(port: int) -> None:
    """However many connections idle, a tenth of the limit stays free for those that come in the same moment."""
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3 * MAX_CONNECTIONS)]
    _, writer = held[-1]
    writer.write(BEGUN + b"\r\n")
    async with asyncio.timeout(5):
        await held[-1][0].readuntil(b"}")
    assert len(WatchedHttp.of_server) <= CROWDED < MAX_CONNECTIONS
    for _, writer in held:
        writer.close()


async def test_rest_of_a_body_is_given_up(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that goes on after its response, a byte now and then, does not keep the connection open."""
    monkeypatch.setattr(bounded_http, "HEADER_SECONDS", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /nowhere HTTP/1.1\r\nhost: chat.test\r\ncontent-length: 100000\r\n\r\n{")
    received = asyncio.create_task(until_closed(reader))
    async with asyncio.timeout(5):
        while not received.done():
            writer.write(b" ")
            await asyncio.wait({received}, timeout=0.02)
    assert received.result().startswith(b"HTTP/1.1 404")
    assert received.result().count(b"HTTP/1.1") == 1
    writer.close()


@pytest.mark.parametrize("sent", [b"", BEGUN, BEGUN + b"\r\n"], ids=["nothing", "half", "whole"])
async def test_connections_without_a_request_make_room(port: int, sent: bytes) -> None:
    """Connections that wait or idle keep nobody out: near the limit the one that idled longest is closed."""
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CROWDED - 1)]
    for reader, writer in held:
        writer.write(sent)
        if sent.endswith(b"\r\n\r\n"):
            await reader.readuntil(b"}")
    for _ in range(3):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(BEGUN + b"\r\n")
        async with asyncio.timeout(5):
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
        writer.close()
    async with asyncio.timeout(5):
        assert await held[0][0].read() == b""
    for _, writer in held:
        writer.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /nowhere HTTP/1.1\r\nhost: chat.test\r\ncontent-length: 9\r\n",
        b"GET /nowhere HTTP/1.1\r\nhost: chat.test\r\n",
    ],
)
async def test_websockets_are_not_spoken(port: int, sent: bytes) -> None:
    """A request to upgrade gets the response of a plain request: a WebSocket would be bound by none of these limits."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent + b"connection: upgrade\r\nupgrade: websocket\r\n\r\n")
    async with asyncio.timeout(5):
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 404")
    writer.close()


@pytest.mark.slow
async def test_other_requests_are_served(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that is slow but in time is served, also the second of a connection, and idle time does not count."""
    monkeypatch.setattr(bounded_http, "HEADER_SECONDS", 0.5)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for pause in (0.1, 0.0):
        writer.write(BEGUN)
        await asyncio.sleep(pause)
        writer.write(b"\r\n")
        async with asyncio.timeout(5):
            assert (await reader.readuntil(b'{"status":"ok"}')).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.6)
    writer.close()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux drops such connections")
async def test_connection_that_takes_nothing_is_dropped(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that asks and never reads loses its connection, also if the response has ended long since."""
    monkeypatch.setattr(bounded_http, "UNREAD_SECONDS", 1)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", port))
        await loop.sock_sendall(client, b"GET /openapi.json HTTP/1.1\r\nhost: chat.test\r\n\r\n" * 300)
        async with asyncio.timeout(20):
            await WatchedHttp.lost.wait()
