"""The memory, put together over one sidecar."""

import httpx

from conversations import Conversations
from dapr_state import DaprState, connect
from erasure import Erasure
from health import Readiness
from log.paged_log import PagedLog
from log.sweeps import Sweeper
from profiles import Profiles
from settings import Settings
from user_sessions import UserSessions


class Memory:
    """What the routes serve from. Owns the connections to the sidecar and the background sweeps."""

    def __init__(self, settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._transport = transport or connect()
        state = DaprState(self._transport, settings)
        log = PagedLog(state)
        self._sweeper = Sweeper(state, log)
        self.profiles = Profiles(state)
        self.sessions = UserSessions(log)
        self.conversations = Conversations(log, self._sweeper, self.sessions)
        self.erasure = Erasure(log, self._sweeper, self.profiles)
        self.readiness = Readiness(state)

    async def close(self) -> None:
        """Stop the sweeps and close the connections."""
        await self._sweeper.close()
        await self._transport.aclose()
