"""A whole system of real processes on free ports: memory services and chat service, each behind its sidecar."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from processes import Process, free_ports
from sidecars import BIN, ROOT, sidecar_command, sidecar_environment

MEMORY_APP_ID = "agent-memory-service"
CHAT_APP_ID = "chat-service"
LOG_TAIL_CHARACTERS = 3_000


@dataclass(frozen=True, slots=True)
class Replica:
    """One service with its sidecar, and where each listens."""

    app: Process
    sidecar: Process
    url: str
    sidecar_url: str

    def start(self) -> None:
        """Start both; neither need be ready yet."""
        self.sidecar.start()
        self.app.start()

    def until_ready(self) -> None:
        """Wait for both."""
        self.sidecar.until_ready()
        self.app.until_ready()

    def kill(self) -> None:
        """kill -9 both."""
        self.app.kill()
        self.sidecar.kill()

    def restart(self) -> None:
        """Start both again, and wait for them."""
        self.start()
        self.until_ready()

    def state(self, key: str) -> str:
        """Where the sidecar has a key of the store; `key` is quoted."""
        return f"{self.sidecar_url}/v1.0/state/statestore/{key}"


class System:
    """The parts of a system, its state and its logs in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[Process] = []
        self.memories: list[Replica] = []
        self.chats: list[Replica] = []

    @property
    def state_file(self) -> Path:
        """The local sidecars' store."""
        return self.folder / "state.db"

    @property
    def memory(self) -> str:
        """The memory service as the chat service reaches it: through a sidecar, by its app id."""
        caller = (self.chats or self.memories)[0]
        return f"{caller.sidecar_url}/v1.0/invoke/{MEMORY_APP_ID}/method"

    def new_id(self, kind: str) -> str:
        """An id that no other test and no other run has."""
        return f"{kind}-{uuid4().hex}"

    def add_memory(self, state_port: int | None = None) -> Replica:
        """A memory service more; it reaches its sidecar by `state_port` where given."""
        replica = self._replica(MEMORY_APP_ID, "agent_memory_service", {}, state_port)
        self.memories.append(replica)
        return replica

    def add_chat(self, env: Mapping[str, str]) -> Replica:
        """A chat service more."""
        replica = self._replica(CHAT_APP_ID, "chat_service", env, None)
        self.chats.append(replica)
        return replica

    def add_model(self, token_ms: int) -> str:
        """Start a scripted model endpoint that takes so long for each word; its base URL."""
        (port,) = free_ports(1)
        command = [str(BIN / "python"), "-m", "bench.model_endpoint", "--port", str(port), "--token-ms", str(token_ms)]
        self._add(command, ROOT, {}, "model", f"http://127.0.0.1:{port}/requests").start()
        return f"http://127.0.0.1:{port}/v1"

    def start(self) -> None:
        """Start all replicas at once, and wait until everything serves."""
        for replica in [*self.memories, *self.chats]:
            replica.start()
        for process in self.processes:
            process.until_ready()

    def stop(self) -> None:
        """End every process."""
        for process in reversed(self.processes):
            process.stop()

    def logs(self) -> str:
        """The ends of all output, for a test that failed."""
        tails = ((it.log.name, it.log.read_text(errors="replace")) for it in self.processes if it.log.exists())
        return "\n".join(f"--- {name}\n{text[-LOG_TAIL_CHARACTERS:]}" for name, text in tails)

    def _replica(self, app_id: str, service: str, env: Mapping[str, str], state_port: int | None) -> Replica:
        app_port, http_port = free_ports(2)
        url, sidecar_url = f"http://127.0.0.1:{app_port}", f"http://127.0.0.1:{http_port}"
        sidecar = self._add(
            sidecar_command(app_id, app_port, http_port, self.state_file),
            self.folder,
            sidecar_environment(self.folder),
            f"{app_id}-sidecar",
            f"{sidecar_url}/v1.0/healthz/outbound",
        )
        command = [str(BIN / "uvicorn"), "main:app", "--host", "127.0.0.1", "--port", str(app_port)]
        command += ["--timeout-keep-alive", "120", "--no-access-log"]  # as in dapr.yaml
        port = {"DAPR_HTTP_PORT": str(state_port or http_port)}
        app = self._add(command, ROOT / service, {**env, **port}, app_id, f"{url}/health/live")
        return Replica(app, sidecar, url, sidecar_url)

    def _add(self, command: list[str], cwd: Path, env: Mapping[str, str], name: str, ready: str) -> Process:
        log = self.folder / f"{len(self.processes)}-{name}.log"
        self.processes.append(Process(command, cwd, env, log, ready))
        return self.processes[-1]


@contextmanager
def running(
    folder: Path,
    *,
    memories: int = 1,
    chats: int = 0,
    state_port: int | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[System]:
    """A system that serves, ended with the block whatever happens in it."""
    system = System(folder)
    try:
        for _ in range(memories):
            system.add_memory()
        for _ in range(chats):
            system.add_chat(env or {})
        system.start()
        yield system
    finally:
        system.stop()
