"""The two systems that are compared, each complete: chat service, memory service, and a sidecar for each."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import aiohttp

from harness.groups import ProcessGroup
from harness.paths import COMPONENTS
from harness.processes import READY_SECONDS, StartError
from harness.services import MEMORY_SERVICE, Launcher, add_service, our_service
from harness.sidecars import Sidecars
from harness.system import Replica, System
from harness.tutorial import tutorial_service

Kind = Literal["tutorial", "ours"]

POLL_SECONDS = 0.1
"""Pause between two attempts to make a first call through the sidecars."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What all systems of a run share. Logs and state are in `folder`."""

    model_url: str
    folder: Path
    sidecars: Sidecars
    client: aiohttp.ClientSession

    def launcher(self, kind: Kind) -> Launcher:
        """Return how the services of that kind are started."""
        return our_service if kind == "ours" else tutorial_service

    @property
    def sidecars_name(self) -> str:
        """What the sidecars of this run are, for the heading."""
        if self.sidecars.daprd is None:
            return "the local sidecar on SQLite"
        own = self.sidecars.components == COMPONENTS
        return "Dapr's sidecar on Redis" if own else f"Dapr's sidecar on {self.sidecars.components}"

    @property
    def env(self) -> dict[str, str]:
        """The environment of every service: the stand-in model, and no traces to OpenAI."""
        return {
            "LLM_BASE_URL": self.model_url,
            "LLM_API_KEY": "bench",
            "LLM_MODEL": "bench",
            "OPENAI_AGENTS_DISABLE_TRACING": "1",
        }


@dataclass(frozen=True, slots=True)
class MeasuredSystem:
    """A running system. `chat` and `memory` are the base URLs of its services."""

    kind: Kind
    chat: str
    memory: str
    invocation: str
    memory_replica: Replica
    chat_replica: Replica

    def invoke(self, path: str) -> str:
        """Return the URL by which the chat service calls a path of the memory service."""
        return f"{self.invocation}/{path}"

    def state(self, key: str = "") -> str:
        """Return the URL of the memory's state at its sidecar, of one key or for saving."""
        return self.memory_replica.state(key)

    @property
    def pids(self) -> dict[str, int]:
        """The ids of its processes, by what each is."""
        return {
            "chat": self.chat_replica.app.pid,
            "chat's sidecar": self.chat_replica.sidecar.pid,
            "memory": self.memory_replica.app.pid,
            "memory's sidecar": self.memory_replica.sidecar.pid,
        }

    @property
    def memory_sidecar_port(self) -> int:
        """The HTTP port of the memory service's sidecar."""
        return int(self.memory_replica.sidecar_url.rpartition(":")[2])


@asynccontextmanager
async def running(
    bench: Bench, kind: Kind, *, memory_sidecar_port: int | None = None, state_port: int | None = None
) -> AsyncIterator[MeasuredSystem]:
    """Run a system of that kind. `state_port` is that of a relay in front of the memory service's sidecar."""
    async with System(_folder(bench, kind), sidecars=bench.sidecars, launcher=bench.launcher(kind)) as system:
        memory = system.add_memory(bench.env, state_port=state_port, sidecar_port=memory_sidecar_port)
        chat = system.add_chat(bench.env)
        await system.start_async()
        measured = MeasuredSystem(kind, chat.url, memory.url, system.memory, memory, chat)
        await _until_turns_work(bench.client, measured)
        yield measured


@asynccontextmanager
async def tutorial_memory(bench: Bench, sidecar_port: int) -> AsyncIterator[str]:
    """Run the tutorial's memory service on a sidecar that runs already. Gives its base URL."""
    async with ProcessGroup(_folder(bench, "tutorial-memory")) as group:
        _, url = add_service(
            group, MEMORY_SERVICE, launcher=bench.launcher("tutorial"), sidecar_port=sidecar_port, env=bench.env
        )
        await group.start_async()
        yield url


async def introduce(client: aiohttp.ClientSession, url: str) -> None:
    """Give a user a profile. Raises aiohttp.ClientError when that fails."""
    profile = {"name": "Ada", "preferred_style": "casual", "goal": "learn"}
    async with client.post(url, json=profile) as response:
        response.raise_for_status()


async def _until_turns_work(client: aiohttp.ClientSession, system: MeasuredSystem) -> None:
    """Wait until a call gets through: chat's sidecar, memory's sidecar, memory service, store."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            return await introduce(client, system.invoke("memories/bench-ready/initialize"))
        except (aiohttp.ClientError, TimeoutError) as error:
            if time.monotonic() > deadline:
                raise StartError(f"{system.kind}: no call reaches the store: {error!r}") from error
        await asyncio.sleep(POLL_SECONDS)


def _folder(bench: Bench, name: str) -> Path:
    folder = bench.folder / name
    folder.mkdir(exist_ok=True)
    return folder
