"""What the log says if the sidecar accepts no connection."""

import asyncio
import socket

import pytest

from errors import MemoryFailure
from memory_client import MemoryClient
from settings import Settings
from sidecar_http import open_memory_http


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def lines_with_address(caplog: pytest.LogCaptureFixture, port: int) -> int:
    """The lines in the log that name the sidecar's address."""
    return sum(f"no sidecar at http://127.0.0.1:{port}:" in line for line in caplog.text.splitlines())


async def respond_500(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A sidecar that has only errors."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 500 Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


async def test_a_missing_sidecar_is_one_line_with_its_address(caplog: pytest.LogCaptureFixture) -> None:
    """However many calls find no sidecar, one line says so, names its address and has no stack trace."""
    port = free_port()
    async with open_memory_http(Settings(dapr_http_port=port)) as http:
        client = MemoryClient(http)
        for _ in range(3):
            with pytest.raises(MemoryFailure):
                await client.profile("alice")
    assert lines_with_address(caplog, port) == 1
    assert len(caplog.text.splitlines()) == 1


async def test_the_next_outage_is_logged_again(caplog: pytest.LogCaptureFixture) -> None:
    """A response of the sidecar ends the outage, also one that is an error."""
    port = free_port()
    async with open_memory_http(Settings(dapr_http_port=port)) as http:
        client = MemoryClient(http)

        async def fail() -> None:
            with pytest.raises(MemoryFailure):
                await client.profile("alice")

        await fail()
        async with await asyncio.start_server(respond_500, "127.0.0.1", port):
            await fail()
        await fail()
    assert lines_with_address(caplog, port) == 2
