"""A relay between a service and its sidecar that counts the bytes of each direction, HTTP headers included."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

CHUNK_BYTES = 65_536
"""The most bytes that one read takes."""


@dataclass(slots=True)
class Relay:
    """Passes every connection on to `target_port` of 127.0.0.1. `sent` and `received` are bytes of the service."""

    target_port: int
    port: int = 0
    sent: int = 0
    received: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection until either side ends it."""
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        up = asyncio.create_task(self._pump(reader, onward_writer, upwards=True))
        down = asyncio.create_task(self._pump(onward_reader, writer, upwards=False))
        self.tasks |= {up, down}
        await asyncio.wait({up, down})
        self.tasks -= {up, down}

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, upwards: bool) -> None:
        try:
            while chunk := await source.read(CHUNK_BYTES):
                if upwards:
                    self.sent += len(chunk)
                else:
                    self.received += len(chunk)
                sink.write(chunk)
                await sink.drain()
        except ConnectionError:
            return  # the other side has ended the connection
        finally:
            sink.close()


@asynccontextmanager
async def relay(target_port: int) -> AsyncIterator[Relay]:
    """Run a relay on a free port."""
    counting = Relay(target_port)
    server = await asyncio.start_server(counting.serve, "127.0.0.1", 0)
    counting.port = server.sockets[0].getsockname()[1]
    try:
        yield counting
    finally:
        server.close()
        for task in list(counting.tasks):
            task.cancel()
        await asyncio.gather(*counting.tasks, return_exceptions=True)
