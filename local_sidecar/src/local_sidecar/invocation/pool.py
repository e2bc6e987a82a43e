"""Connections to apps, kept between requests."""

import asyncio
import time

from local_sidecar.invocation.channel import Channel

HOST = "127.0.0.1"
IDLE_SECONDS = 3.0  # less than any server keeps an idle connection (uvicorn: 5), so that none is found closed


class Pool:
    """Idle channels by the app's port."""

    def __init__(self) -> None:
        self._idle: dict[int, list[tuple[float, Channel]]] = {}

    async def channel(self, port: int) -> Channel:
        """A channel to the app on a port. Raises OSError when nothing listens there."""
        idle = self._idle.get(port, [])
        while idle:
            since, channel = idle.pop()
            if channel.open and time.monotonic() - since < IDLE_SECONDS:
                return channel
            channel.abort()
        return (await asyncio.get_running_loop().create_connection(lambda: Channel(port), HOST, port))[1]

    def give_back(self, channel: Channel) -> None:
        """Keep a channel for the next request, if it can carry one."""
        if channel.reusable:
            self._idle.setdefault(channel.port, []).append((time.monotonic(), channel))
        else:
            channel.abort()
