"""What the log says if the sidecar accepts no connection."""

import socket

import httpx
import pytest

from errors import MemoryFailure
from memory_client import MemoryClient, open_memory_http
from settings import Settings


def lines_with_address(caplog: pytest.LogCaptureFixture, port: int) -> int:
    """The lines in the log that name the sidecar's address."""
    return sum(f"no sidecar at http://127.0.0.1:{port}:" in line for line in caplog.text.splitlines())


async def test_a_missing_sidecar_is_one_line_with_its_address(caplog: pytest.LogCaptureFixture) -> None:
    """However many calls find no sidecar, one line says so, names its address and has no stack trace."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        async with open_memory_http(Settings(dapr_http_port=port)) as http:
            client = MemoryClient(http)
            for _ in range(3):
                with pytest.raises(MemoryFailure):
                    await client.profile("alice")
    assert lines_with_address(caplog, port) == 1
    assert len(caplog.text.splitlines()) == 1


async def test_the_next_outage_is_logged_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A response of the sidecar ends the outage, also one that is an error."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        async with open_memory_http(Settings(dapr_http_port=port)) as http:
            client = MemoryClient(http)
            for reached in (False, True, False):
                with monkeypatch.context() as patch:
                    if reached:
                        patch.setattr(http, "_transport", httpx.MockTransport(lambda _: httpx.Response(500)))
                    with pytest.raises(MemoryFailure):
                        await client.profile("alice")
    assert lines_with_address(caplog, port) == 2
