"""The memory of one app: its parts, assembled over one sidecar."""

from background_tasks import BackgroundTasks
from conversations import Conversations
from dapr_state import DaprState
from dapr_wire import DaprWire, SidecarTransport
from erasure import ERASE, Erasure
from export import Exporter
from facts import Facts
from health import Readiness
from list_compaction import ListCompactor
from log.due_list import DueList
from log.due_worker import DueWorker
from log.paged_log import PagedLog
from log.sweeps import SWEEP, Sweeper
from metrics import Metrics
from profiles import Profiles
from recall import Recall
from settings import Settings
from store_probe import StoreProbe
from store_traits import StoreTraits
from user_sessions import UserSessions


class Memory:
    """Everything that the routes use. It owns the connections to the sidecar and the background tasks.

    Without `traits` it learns how the store behaves at the start, or at the first use.
    """

    def __init__(self, settings: Settings, transport: SidecarTransport, traits: StoreTraits | None = None) -> None:
        self._transport = transport
        self.metrics = Metrics()
        wire = DaprWire(transport, settings, self.metrics)
        self.probe = StoreProbe(wire, traits)
        state = DaprState(wire, self.probe)
        log = PagedLog(state, self.metrics)
        due = DueList(state, self.metrics)
        self._background = BackgroundTasks()
        sweeper = Sweeper(state, log, due, self._background)
        self.profiles = Profiles(state, self.metrics)
        self.sessions = UserSessions(log, sweeper, ListCompactor(log, sweeper, self._background))
        self.conversations = Conversations(log, sweeper, self.sessions)
        self.facts = Facts(self.profiles, self.conversations)
        self.recall = Recall(state, self.conversations, self.sessions)
        self.erasure = Erasure(log, sweeper, self.profiles, due)
        self.due_worker = DueWorker(due, {SWEEP: sweeper.work, ERASE: self.erasure.resume}, self.metrics)
        self.exporter = Exporter(self.profiles, self.sessions, self.conversations)
        self.readiness = Readiness(state, self.probe)

    async def start(self) -> None:
        """Learn how the store behaves, if it responds, and start the worker of the due list."""
        await self.probe.start()
        self._background.start("due-worker", self.due_worker.run())

    async def close(self) -> None:
        """Cancel the background tasks and close the connections. The due list has what is left to do."""
        await self._background.close()
        await self.probe.close()
        await self._transport.aclose()
