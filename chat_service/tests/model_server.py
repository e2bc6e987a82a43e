"""A model's endpoint on a real socket, for what only connections show."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Respond = Callable[[bytes], Awaitable[bytes]]
"""Builds the body of a response from the body of its request."""


@asynccontextmanager
async def serving(respond: Respond, opened: list[int] | None = None) -> AsyncIterator[str]:
    """Serve at this base URL. Each new connection is added to `opened`."""
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            handlers.add(task)
        if opened is not None:
            opened.append(1)
        try:
            while head := await _head(reader):
                found = re.search(rb"(?i)content-length: (\d+)", head)
                request = await reader.readexactly(int(found[1]) if found else 0)
                kind = b"text/event-stream" if b'"stream":true' in request else b"application/json"
                body = await respond(request)
                writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: " + kind + b"\r\n\r\n")
                writer.write(b"%x\r\n%s\r\n" % (len(body), body))
                await asyncio.sleep(0.01)
                writer.write(b"0\r\n\r\n")
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        for task in handlers:
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        await asyncio.sleep(0.01)  # the transports close in the next iterations of the loop


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
