"""The two systems that are compared, each whole: chat service, memory service, a sidecar for each."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import aiohttp

from bench.processes import Processes, answers, free_ports
from bench.sidecars import ROOT, Sidecars

Kind = Literal["tutorial", "ours"]
MEMORY_APP_ID = "agent-memory-service"
CHAT_APP_ID = "chat-service"
UVICORN_FLAGS = ("--timeout-keep-alive", "120", "--no-access-log")  # as in dapr.yaml


@dataclass(frozen=True, slots=True)
class Bench:
    """What all systems of a run share: the tutorial's folder, the model's URL, logs and state under `folder`."""

    tutorial: Path
    model_url: str
    folder: Path
    sidecars: Sidecars
    client: aiohttp.ClientSession


@dataclass(frozen=True, slots=True)
class System:
    """A running system by the base URLs of its parts."""

    kind: Kind
    chat: str
    memory: str
    chat_sidecar: str
    memory_sidecar: str

    def invoke(self, path: str) -> str:
        """The URL by which the chat service reaches a path of the memory service."""
        return f"{self.chat_sidecar}/v1.0/invoke/{MEMORY_APP_ID}/method/{path}"

    def state(self, key: str = "") -> str:
        """The URL of the memory's state at its sidecar, of one key or for saving."""
        return f"{self.memory_sidecar}/v1.0/state/statestore" + (f"/{key}" if key else "")


@asynccontextmanager
async def running(
    bench: Bench, kind: Kind, *, memory_sidecar_port: int | None = None, state_port: int | None = None
) -> AsyncIterator[System]:
    """A system of that kind that answers. The memory reaches its sidecar by `state_port` where given (a relay's)."""
    chat, memory, chat_sidecar, free_port = free_ports(4)
    memory_sidecar = memory_sidecar_port or free_port
    system = System(kind, url(chat), url(memory), url(chat_sidecar), url(memory_sidecar))
    place = bench.folder / kind
    place.mkdir(exist_ok=True)
    async with Processes(bench.folder) as group:
        for app_id, app, sidecar in ((MEMORY_APP_ID, memory, memory_sidecar), (CHAT_APP_ID, chat, chat_sidecar)):
            command = bench.sidecars.command(app_id, app, sidecar)
            group.start(f"{kind}-{app_id}-sidecar", command, cwd=place, env=bench.sidecars.env(place))
        start_service(group, bench, kind, "agent_memory_service", memory, state_port or memory_sidecar)
        start_service(group, bench, kind, "chat_service", chat, chat_sidecar)
        await group.until(f"{kind}: the services", lambda: _all_listen(bench.client, system))
        await group.until(f"{kind}: invocation and store", lambda: _takes_turns(bench.client, system))
        yield system


def start_service(group: Processes, bench: Bench, kind: Kind, name: str, port: int, sidecar_port: int) -> None:
    """Start one service: ours as `dapr.yaml` does, the tutorial's by its launcher."""
    env = {
        "DAPR_HTTP_PORT": str(sidecar_port),
        "LLM_BASE_URL": bench.model_url,
        "LLM_API_KEY": "bench",
        "LLM_MODEL": "bench",
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
    }
    start = _start_tutorial if kind == "tutorial" else _start_ours
    start(group, bench, name, port, env)


async def introduce(client: aiohttp.ClientSession, url: str) -> None:
    """Give a user a profile. Raises aiohttp.ClientError when that fails."""
    profile = {"name": "Ada", "preferred_style": "casual", "goal": "learn"}
    async with client.post(url, json=profile) as response:
        response.raise_for_status()


def url(port: int) -> str:
    """The base URL of a port of this machine."""
    return f"http://127.0.0.1:{port}"


def _start_ours(group: Processes, bench: Bench, name: str, port: int, env: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "uvicorn", "main:app", "--host", "127.0.0.1", "--port", str(port), *UVICORN_FLAGS]
    group.start(f"ours-{name}", command, cwd=ROOT / name, env=env)


def _start_tutorial(group: Processes, bench: Bench, name: str, port: int, env: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "bench.tutorial_launcher", str(bench.tutorial / name), "--port", str(port)]
    group.start(f"tutorial-{name}", command, cwd=ROOT, env=env)


async def _all_listen(client: aiohttp.ClientSession, system: System) -> bool:
    sidecars = [f"{base}/v1.0/healthz/outbound" for base in (system.chat_sidecar, system.memory_sidecar)]
    services = [f"{base}/" for base in (system.chat, system.memory)]
    return all([await answers(client, one, 204) for one in sidecars] + [await answers(client, one) for one in services])


async def _takes_turns(client: aiohttp.ClientSession, system: System) -> bool:
    """Whether the way of a turn works: chat's sidecar, memory's sidecar, memory service, store."""
    try:
        await introduce(client, system.invoke("memories/bench-ready/initialize"))
    except (aiohttp.ClientError, TimeoutError):
        return False
    return True
