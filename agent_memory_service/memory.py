"""The memory of one app: its parts, assembled over one sidecar."""

from conversations import Conversations
from dapr_state import DaprState
from dapr_wire import DaprWire, SidecarTransport
from erasure import Erasure
from export import Exporter
from health import Readiness
from log.paged_log import PagedLog
from log.sweeps import Sweeper
from profiles import Profiles
from settings import Settings
from store_probe import StoreProbe
from store_traits import StoreTraits
from user_sessions import UserSessions


class Memory:
    """Everything that the routes use. It owns the connections to the sidecar and the background sweeps.

    Without `traits` it learns how the store behaves at the start, or at the first use.
    """

    def __init__(self, settings: Settings, transport: SidecarTransport, traits: StoreTraits | None = None) -> None:
        self._transport = transport
        wire = DaprWire(transport, settings)
        self._probe = StoreProbe(wire, traits)
        state = DaprState(wire, self._probe)
        log = PagedLog(state)
        self._sweeper = Sweeper(state, log)
        self.profiles = Profiles(state)
        self.sessions = UserSessions(log)
        self.conversations = Conversations(log, self._sweeper, self.sessions)
        self.erasure = Erasure(log, self._sweeper, self.profiles)
        self.exporter = Exporter(self.profiles, self.sessions, self.conversations)
        self.readiness = Readiness(state, self._probe)

    async def start(self) -> None:
        """Learn how the store behaves, if it responds."""
        await self._probe.start()

    async def close(self) -> None:
        """Cancel the background work and close the connections."""
        await self._sweeper.close()
        await self._probe.close()
        await self._transport.aclose()
