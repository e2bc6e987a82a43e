"""The timed calls to a memory service, and the bare state calls that they are compared with."""

import json
from dataclasses import dataclass, field

import aiohttp

from bench.load import new_id, succeeded
from bench.measured import MeasuredSystem
from bench.parts import turn_body

BARE_BYTES = 10_000
"""Size of the value of a bare save: about that of a session's head."""

PAIRS_AN_APPEND = 6
"""Pairs of messages of a long append: twelve entries, the most that a turn may have."""


@dataclass(slots=True)
class MemoryCalls:
    """Calls of one user to our memory service, directly to its port. Each returns whether it succeeded."""

    client: aiohttp.ClientSession
    system: MeasuredSystem
    user: str = field(default_factory=lambda: new_id("user"))

    async def append(self, session: str, pairs: int = 1) -> bool:
        """Append one turn of `pairs` pairs of messages."""
        url = f"{self.system.memory}/conversations/{session}/turns"
        async with self.client.post(url, json=turn_body(self.user, "a turn", pairs)) as response:
            return await succeeded(response, 201)

    async def newest_and_append(self, session: str) -> bool:
        """Read the newest 20 messages, then append a turn."""
        async with self.client.get(f"{self.system.memory}/conversations/{session}?last=20") as response:
            read = await succeeded(response)
        return read and await self.append(session)

    async def whole(self, memory: str, session: str) -> bool:
        """Read all messages of a session of either memory service."""
        async with self.client.get(f"{memory}/conversations/{session}") as response:
            return await succeeded(response)

    async def bare(self, key: str) -> bool:
        """Read and conditionally save 10 KB, directly at the sidecar."""
        async with self.client.get(self.system.state(key)) as response:
            await response.read()
            etag = response.headers.get("etag", "")
        return bool(etag) and await self.bare_save(key, etag)

    async def bare_save(self, key: str, etag: str) -> bool:
        """Save 10 KB, conditionally if an etag is given."""
        item = {"key": key, "value": "x" * BARE_BYTES} | ({"etag": etag} if etag else {})
        async with self.client.post(self.system.state(), data=json.dumps([item])) as response:
            return await succeeded(response, 204)
