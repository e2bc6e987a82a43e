"""A memory service whose every state call can be seen, and whose answers can be lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from state_proxy import StateProxy, state_proxy
from system import Replica, System


@dataclass(frozen=True, slots=True)
class Watched:
    """A memory service that reaches its sidecar through a proxy."""

    system: System
    memory: Replica
    proxy: StateProxy


@asynccontextmanager
async def watching(folder: Path) -> AsyncIterator[Watched]:
    """A memory service behind a proxy, and nothing else."""
    system = System(folder)
    async with state_proxy() as proxy:
        try:
            memory = system.add_memory(state_port=proxy.port)
            proxy.sidecar_url = memory.sidecar_url
            memory.start()
            await asyncio.to_thread(memory.until_ready)
            yield Watched(system, memory, proxy)
        finally:
            system.stop()
