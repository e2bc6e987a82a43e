"""The service as a process that gets a stop signal while a client waits."""

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import httpx
import pytest

FOLDER = Path(__file__).resolve().parent.parent
HELLO = {"user_id": "alice", "text": "my secret plan", "metadata": {"session_id": "s1"}}


class HangingModel:
    """An endpoint that accepts requests and never responds."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read until the caller disconnects."""
        while await reader.read(65_536):
            self.asked.set()
        writer.close()


async def started(model_port: int) -> tuple[Process, str]:
    """Start the service on a free port, without memory; returns it with its URL."""
    environment = {
        **os.environ,
        "LLM_BASE_URL": f"http://127.0.0.1:{model_port}/v1",
        "LLM_MODEL": "scripted",
        "DAPR_HTTP_PORT": "9",
        "SHUTDOWN_TIMEOUT_SECONDS": "0.3",
    }
    command = (sys.executable, "-m", "uvicorn", "main:app", "--port", "0")
    process = await asyncio.create_subprocess_exec(*command, cwd=FOLDER, env=environment, stderr=PIPE)
    assert process.stderr is not None
    async for line in process.stderr:
        if (found := re.search(rb"running on (http://127\.0\.0\.1:\d+)", line)) is not None:
            return process, found[1].decode()
    raise AssertionError("the service did not start")


@pytest.mark.slow
@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
async def test_waiting_client_gets_its_error_in_time(stop_signal: signal.Signals) -> None:
    """After the signal a turn has the configured time, even if its model hangs, and ends with the documented error."""
    model = HangingModel()
    server = await asyncio.start_server(model.handle, "127.0.0.1", 0)
    async with asyncio.timeout(30):
        process, url = await started(server.sockets[0].getsockname()[1])
        try:
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as client:
                turn = asyncio.create_task(client.post("/chat/", json=HELLO))
                await model.asked.wait()
                process.send_signal(stop_signal)
                async with asyncio.timeout(5):
                    response = await turn
                    _, log = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
            server.close()
    assert (response.status_code, response.json()["code"]) == (503, "stopping")
    assert b"user=alice session=s1" in log
    assert b"status=503 code=stopping" in log
    assert b"Traceback" not in log


@pytest.mark.slow
async def test_turn_that_would_begin_after_the_signal_is_refused() -> None:
    """A request whose body ends after the signal starts no turn, as nothing would bound it: 503 at once."""
    body = json.dumps(HELLO).encode()
    head = b"POST /chat/ HTTP/1.1\r\nhost: chat.test\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    server = await asyncio.start_server(HangingModel().handle, "127.0.0.1", 0)
    async with asyncio.timeout(30):
        process, url = await started(server.sockets[0].getsockname()[1])
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
            writer.write(head % len(body) + body[:10])
            await asyncio.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.3)
            async with asyncio.timeout(5):
                writer.write(body[10:])
                response = await reader.read()
                await process.communicate()
            writer.close()
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
            server.close()
    assert response.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"stopping"' in response
