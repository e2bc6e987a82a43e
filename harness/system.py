"""A whole system of real processes on free ports: memory services and chat services, each behind its sidecar."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from harness.environment import free_ports, local_url
from harness.groups import ProcessGroup
from harness.processes import Process
from harness.services import APP_IDS, CHAT_SERVICE, MEMORY_SERVICE, Launcher, add_service, our_service
from harness.sidecars import Sidecars, sidecars_from_environment


@dataclass(frozen=True, slots=True)
class Replica:
    """One service with its sidecar, and the base URLs of both."""

    app: Process
    sidecar: Process
    url: str
    sidecar_url: str

    def state(self, key: str = "") -> str:
        """Return the URL of a key of the store at the sidecar, or of all keys. `key` is quoted already."""
        return f"{self.sidecar_url}/v1.0/state/statestore" + (f"/{key}" if key else "")


class System(ProcessGroup):
    """The parts of a system. Its state and its logs are in one folder.

    Parts are added first, then `start` or `start_async` starts them all at once. Without `sidecars` the environment
    chooses them. `launcher` chooses whose services are started; by default those of this repository.
    """

    def __init__(self, folder: Path, *, sidecars: Sidecars | None = None, launcher: Launcher = our_service) -> None:
        super().__init__(folder)
        self.sidecars = sidecars or sidecars_from_environment()
        self.launcher = launcher
        self.state_file = folder / "state.db"
        """Where the local sidecars keep the state."""
        self.memories: list[Replica] = []
        self.chats: list[Replica] = []

    @property
    def memory(self) -> str:
        """The base URL of the memory service as the chat service calls it: through a sidecar, by its app id."""
        caller = (self.chats or self.memories)[0]
        return f"{caller.sidecar_url}/v1.0/invoke/{APP_IDS[MEMORY_SERVICE]}/method"

    def new_id(self, kind: str) -> str:
        """Return an id that no other test and no other run has."""
        return f"{kind}-{uuid4().hex}"

    def add_memory(
        self,
        env: Mapping[str, str] | None = None,
        *,
        state_port: int | None = None,
        sidecar_port: int | None = None,
        sidecar_env: Mapping[str, str] | None = None,
    ) -> Replica:
        """Add a memory service. `state_port` is that of a proxy in front of its sidecar, if there is one.

        `sidecar_port` is the port of its sidecar if the caller needs to know it before. `sidecar_env` is for its
        sidecar.
        """
        self.memories.append(self._replica(MEMORY_SERVICE, env, state_port, sidecar_port, sidecar_env))
        return self.memories[-1]

    def add_chat(self, env: Mapping[str, str] | None = None) -> Replica:
        """Add a chat service."""
        self.chats.append(self._replica(CHAT_SERVICE, env))
        return self.chats[-1]

    def _replica(
        self,
        service: str,
        env: Mapping[str, str] | None,
        state_port: int | None = None,
        sidecar_port: int | None = None,
        sidecar_env: Mapping[str, str] | None = None,
    ) -> Replica:
        port, free_port = free_ports(2)
        http_port = sidecar_port or free_port
        app_id, sidecar_url = APP_IDS[service], local_url(http_port)
        sidecar = self.add(
            f"{app_id}-sidecar",
            self.sidecars.command(app_id, port, http_port, self.state_file),
            ready=f"{sidecar_url}/v1.0/healthz/outbound",
            cwd=self.folder,
            env={**self.sidecars.environment(self.folder), **(sidecar_env or {})},
        )
        app, url = add_service(
            self, service, launcher=self.launcher, port=port, sidecar_port=state_port or http_port, env=env
        )
        return Replica(app, sidecar, url, sidecar_url)


@contextmanager
def running(
    folder: Path,
    *,
    memories: int = 1,
    chats: int = 0,
    env: Mapping[str, str] | None = None,
    components: Path | None = None,
) -> Iterator[System]:
    """Run a system of so many services, the chat services with `env`, on the state store of `components`."""
    with System(folder, sidecars=sidecars_from_environment(components)) as system:
        for _ in range(memories):
            system.add_memory()
        for _ in range(chats):
            system.add_chat(env)
        system.start()
        yield system
