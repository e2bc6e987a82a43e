"""A memory service whose calls to the store a test can see, fail or leave without a response."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.sidecars import sidecars_from_environment
from harness.system import Replica, System
from tests.state_proxy import StateProxy, state_proxy


@dataclass(frozen=True, slots=True)
class Watched:
    """A memory service that reaches its sidecar through a proxy. The system may have others, without a proxy."""

    system: System
    memory: Replica
    proxy: StateProxy


@asynccontextmanager
async def watching(folder: Path, components: Path, others: int = 0) -> AsyncIterator[Watched]:
    """Run a memory service behind a proxy, and as many `others` without one, on the store of `components`."""
    async with (
        state_proxy() as proxy,
        System(folder, sidecars=sidecars_from_environment(components)) as system,
    ):
        memory = system.add_memory(state_port=proxy.port)
        proxy.sidecar_url = memory.sidecar_url
        for _ in range(others):
            system.add_memory()
        await system.start_async()
        yield Watched(system, memory, proxy)
