"""The memory of one app: its parts, assembled over one sidecar."""

from conversations import Conversations
from dapr_state import DaprState, SidecarTransport
from erasure import Erasure
from export import Exporter
from health import Readiness
from log.paged_log import PagedLog
from log.sweeps import Sweeper
from profiles import Profiles
from settings import Settings
from user_sessions import UserSessions


class Memory:
    """Everything that the routes use. It owns the connections to the sidecar and the background sweeps."""

    def __init__(self, settings: Settings, transport: SidecarTransport) -> None:
        self._transport = transport
        state = DaprState(transport, settings)
        log = PagedLog(state)
        self._sweeper = Sweeper(state, log)
        self.profiles = Profiles(state)
        self.sessions = UserSessions(log)
        self.conversations = Conversations(log, self._sweeper, self.sessions)
        self.erasure = Erasure(log, self._sweeper, self.profiles)
        self.exporter = Exporter(self.profiles, self.sessions, self.conversations)
        self.readiness = Readiness(state)

    async def close(self) -> None:
        """Cancel the background sweeps and close the connections."""
        await self._sweeper.close()
        await self._transport.aclose()
