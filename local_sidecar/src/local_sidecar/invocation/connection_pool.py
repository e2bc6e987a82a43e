"""Connections to apps, kept open between requests."""

import asyncio
import time

from local_sidecar.invocation.connection import AppConnection

HOST = "127.0.0.1"
IDLE_SECONDS = 3.0
"""How long an idle connection is reused. Shorter than any server keeps one open (uvicorn: 5 s), so none is stale."""


class ConnectionPool:
    """Idle connections, by the app's port."""

    def __init__(self) -> None:
        self._idle: dict[int, list[tuple[float, AppConnection]]] = {}

    async def acquire(self, port: int) -> AppConnection:
        """A connection to the app on a port. Raises OSError when nothing listens there."""
        idle = self._idle.get(port, [])
        while idle:
            since, connection = idle.pop()
            if connection.open and time.monotonic() - since < IDLE_SECONDS:
                return connection
            connection.abort()
        return (await asyncio.get_running_loop().create_connection(lambda: AppConnection(port), HOST, port))[1]

    def release(self, connection: AppConnection) -> None:
        """Keep a connection for the next request if it can carry one, else close it."""
        if connection.reusable:
            self._idle.setdefault(connection.port, []).append((time.monotonic(), connection))
        else:
            connection.abort()
