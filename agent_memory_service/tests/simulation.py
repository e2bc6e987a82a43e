"""Runs clients against replicas of the memory over one fake store, one call at a time."""

import asyncio
import contextvars
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from errors import ServiceError
from log import page_plan
from memory import Memory
from tests.fake_clients import Fault, LateWork, Schedule, SteppedSidecar, current_operation
from tests.fake_dapr import FakeDapr
from tests.fake_time import STARTED_AT, VirtualLoop, finish
from tests.fake_wire import JSON
from tests.history_oracle import Observer
from tests.store_kinds import REDIS, StoreKind
from tests.user_workload import DuePass
from tests.workload import Operation, memory_over

LANDS_WITHIN_SECONDS = 1.0
"""Seconds after which a write whose client gave up reaches the store, unless the test says otherwise."""
MAX_PASSES = 300
"""Passes over the due list until it is empty; the longest run needs far fewer."""
MAX_STEPS = 5_000
"""Calls and timers of a run; the longest run has far fewer."""


@dataclass
class Record:
    """One operation of a run: when it ran, in ticks, and how it ended."""

    operation: Operation
    start: int
    end: int = 0
    result: object = None
    error: ServiceError | None = None
    crashed: bool = False
    ended: bool = False


@dataclass
class Replica:
    """One process of the memory service."""

    sidecar: SteppedSidecar
    memory: Memory
    running: set[asyncio.Task[object]] = field(default_factory=set)


class Simulation:
    """Clients, spread over the replicas. Each runs its operations one after the other."""

    def __init__(
        self,
        programs: Sequence[Sequence[Operation]],
        before: Sequence[Operation] = (),
        seeds: Mapping[str, JSON] | None = None,
        replicas: int = 2,
        kind: StoreKind = REDIS,
        lands_within_seconds: float = LANDS_WITHIN_SECONDS,
        pause_seconds: float = 0.0,
    ) -> None:
        """`seeds` are in the store first, by key; the operations of `before` end before the clients begin.

        `pause_seconds` pass between them.
        """
        self.lands_within_seconds = lands_within_seconds
        self.page = page_plan.PAGE_ENTRIES
        self.loop = VirtualLoop(stepped=True)
        self.dapr = FakeDapr(self.loop.time, kind)
        self.schedule = Schedule(self.dapr)
        self.records: dict[str, Record] = {}
        sessions = {operation.session for program in (before, *programs) for operation in program}
        self.observer = Observer(self.dapr, sorted(sessions), self.page)
        self.replicas = [self.start(f"replica {number}") for number in range(replicas)]
        self.deadlines: dict[LateWork, float] = {}
        for key, value in (seeds or {}).items():
            self.dapr.seed(key, value)
        for operation in before:
            self.request(operation)
        self.wait(pause_seconds)
        self.clients = [
            self.loop.create_task(self._client(number, ops), name=f"client {number}")
            for number, ops in enumerate(programs)
        ]
        self.loop.settle()

    def start(self, name: str) -> Replica:
        """Start another process of the service."""
        sidecar = SteppedSidecar(self.schedule, name)
        return Replica(sidecar, memory_over(sidecar, self.dapr.kind))

    async def _client(self, number: int, program: Sequence[Operation]) -> None:
        """Run the operations in order. An operation that a crash interrupted is repeated at the new replica."""
        for step, operation in enumerate(program):
            for name in (f"{number}.{step}", f"{number}.{step} again"):
                record = self.records[name] = Record(operation, self.observer.tick)
                await self._execute(self.replicas[number % len(self.replicas)], name, record)
                record.end, record.ended = self.observer.tick, True
                if not record.crashed:
                    break

    async def _execute(self, replica: Replica, name: str, record: Record) -> None:
        context = contextvars.copy_context()
        context.run(current_operation.set, name)
        task: asyncio.Task[object] = self.loop.create_task(_run(record.operation, replica.memory), context=context)
        replica.running.add(task)
        try:
            record.result = await task
        except ServiceError as error:
            record.error = error
        except asyncio.CancelledError:
            record.crashed = True
        finally:
            replica.running.discard(task)

    def let(self, index: int, fault: Fault = Fault.NONE) -> None:
        """Carry out one of the waiting calls."""
        parked = self.schedule.parked
        self.schedule.let(parked[index % len(parked)], fault)
        self.loop.settle()

    def begin(self, index: int) -> None:
        """Carry out one of the waiting calls without its TTL step. The next `let` of it does the rest."""
        parked = self.schedule.parked
        self.schedule.begin(parked[index % len(parked)])

    def step(self, name: str, fault: Fault = Fault.NONE) -> None:
        """Carry out the waiting call of one operation."""
        call = next(call for call in self.schedule.parked if call.by == name)
        self.let(self.schedule.parked.index(call), fault)

    def reach(self, name: str, text: str) -> None:
        """Carry out the calls of one operation until a call with `text` in its short form waits."""
        for _ in range(MAX_STEPS):
            if any(call.by == name and text in str(call) for call in self.schedule.parked):
                return
            self.step(name)
        raise AssertionError(f"{name} never comes to {text}")

    def complete(self, name: str) -> Record:
        """Carry out the calls of one operation to its end."""
        record = self.records[name]
        while not record.ended:
            if any(call.by == name for call in self.schedule.parked):
                self.step(name)
            else:
                assert self.tick(), f"{name} is stuck"
        return record

    def crash(self, index: int) -> None:
        """Kill a replica and start another one in its place."""
        at = index % len(self.replicas)
        replica = self.replicas[at]
        self.replicas[at] = self.start(f"{replica.sidecar.replica}'")
        replica.sidecar.crash()
        for task in replica.running:
            task.cancel()
        self.loop.settle()

    def land(self, index: int) -> None:
        """Carry out one of the writes or TTL steps that their clients gave up on."""
        late = self.schedule.late
        self.schedule.land(late[index % len(late)])

    def tick(self) -> bool:
        """Move the time to the next timer. Late writes that are due by then reach the store first."""
        if self.loop.next_timer is None:
            return False
        then = self.loop.now + self.loop.next_timer
        for work in list(self.schedule.late):
            if self.deadlines.setdefault(work, self.loop.now + self.lands_within_seconds) <= then:
                self.schedule.land(work)
        return self.loop.pass_time()

    def finish(self) -> None:
        """Carry out everything that is left, without faults."""
        self.loop.settle()
        for _ in range(MAX_STEPS):
            if self.schedule.parked:
                self.let(0)
            elif not self.tick():
                return
        raise AssertionError("the run does not end")

    def wait(self, seconds: float) -> None:
        """Let time pass. Late writes reach the store in it."""
        self.loop.create_task(asyncio.sleep(seconds))
        self.finish()

    def start_pass(self, index: int) -> None:
        """Begin a pass of one replica over the due list. Its calls wait among the others."""
        replica = self.replicas[index % len(self.replicas)]
        name = f"pass {len(self.records)}"
        record = self.records[name] = Record(DuePass(self.observer.sessions[0]), self.observer.tick)
        self.loop.create_task(self._pass(replica, name, record))
        self.loop.settle()

    async def _pass(self, replica: Replica, name: str, record: Record) -> None:
        await self._execute(replica, name, record)
        record.end, record.ended = self.observer.tick, True

    def work(self, seconds: float) -> None:
        """Let time pass, with a pass over the due list four times a minute. It ends up to 15 seconds later."""
        end = self.loop.now + seconds
        while self.loop.now < end:
            self.wait(15.0)
            self.request(DuePass(self.observer.sessions[0]))

    def buckets(self) -> list[str]:
        """The keys of the due list's buckets, the earliest first."""
        keys = [key for key in self.dapr.values() if key.startswith("due:") and key != "due:done"]
        return sorted(keys, key=lambda key: int(key.split(":")[1]))

    def finish_what_is_due(self) -> None:
        """Let hours pass, with passes over the due list, until nothing is due any more. Late writes land meanwhile."""
        self.finish()
        for _ in range(MAX_PASSES):
            if not self.buckets() and not self.schedule.late:
                return
            minute = min([int(key.split(":")[1]) for key in self.buckets()[:1]], default=0)
            self.wait(max(15.0, minute * 60 - STARTED_AT - self.loop.now))
            self.request(DuePass(self.observer.sessions[0]))
        raise AssertionError(f"the due list is never empty: {self.buckets()} {self.schedule.late}")

    def request(self, operation: Operation) -> Record:
        """Run one more operation to its end, without faults."""
        name = f"alone {len(self.records)}"
        record = self.records[name] = Record(operation, self.observer.tick)
        if self.replicas[0].sidecar.dead:
            self.replicas[0] = self.start("started again")
        work = self.loop.create_task(self._execute(self.replicas[0], name, record))
        self.finish()
        assert work.done()
        record.end, record.ended = self.observer.tick, True
        return record

    def close(self) -> None:
        finish(self.loop)


async def _run(operation: Operation, memory: Memory) -> object:
    return await operation.run(memory)
