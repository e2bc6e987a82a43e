"""What the memory service costs alone, called directly, compared with bare state calls to the same sidecar."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from statistics import median

import aiohttp

from bench.load import closed_loop, new_id, seed, timed, whole_history
from bench.measured import MeasuredSystem
from bench.memory_calls import PAIRS_AN_APPEND, MemoryCalls
from bench.plan import Plan

SIZES = (100, 10_000)
"""Lengths of the sessions, in messages."""

WRITERS, TURNS_EACH = 16, 20
"""Writers of one session at the same time, and the turns of each."""

MANY_WRITERS = 64
"""Writers whose appends a second are measured, on one session and on as many sessions."""

RATE_ROUNDS = 3
"""Measurements of each of the two rates, alternately. The median counts."""

WHOLE_READS = 15
"""Reads of a whole session, of each system alternately."""

REPLACE_MESSAGES = 10_000
"""The most messages that one replace accepts."""

CONTINUED_READS = 20
"""Reads and appends that are timed on the long session."""

LONG_WRITERS = 4
"""Writers that fill the long session: while one waits for the store the others prepare, which saves time."""


@dataclass(slots=True)
class MemoryFigures:
    """Medians in seconds, rates in appends a second, messages kept."""

    medians: dict[str, float] = field(default_factory=dict)
    crowd_seconds: float = 0.0
    crowd_kept: int = 0
    one_session_rate: float = 0.0
    many_sessions_rate: float = 0.0
    long_messages: int = 0


@dataclass(slots=True)
class MemoryBench:
    """Measures our memory service, and the tutorial's at the base URL `other` on the same sidecar."""

    client: aiohttp.ClientSession
    system: MeasuredSystem
    other: str
    plan: Plan
    calls: MemoryCalls
    figures: MemoryFigures = field(default_factory=MemoryFigures)

    async def measure(self) -> MemoryFigures:
        """Measure everything, one after the other."""
        await self._pairs()
        await self._whole_reads()
        await self._crowd()
        await self._rates()
        await self._long()
        return self.figures

    async def _pairs(self) -> None:
        """Time a read of the newest 20 with an append at both sizes, and the two bare calls, alternately."""
        sessions = {size: await self._session(size) for size in SIZES}
        key = new_id("bare")
        await self.calls.bare_save(key, "")
        samples: dict[str, list[float]] = defaultdict(list)
        for _ in range(self.plan.memory_rounds):
            samples["bare"].append(await timed(self.calls.bare, key))
            for size, session in sessions.items():
                samples[f"newest and append at {size}"].append(await timed(self.calls.newest_and_append, session))
        self.figures.medians |= {name: median(values) for name, values in samples.items()}

    async def _whole_reads(self) -> None:
        mine, theirs = await self._session(SIZES[-1]), new_id("session")
        await seed(self.client, self.other, theirs, SIZES[-1])
        samples: dict[str, list[float]] = defaultdict(list)
        for _ in range(WHOLE_READS):
            samples["whole read"].append(await timed(self.calls.whole, self.system.memory, mine))
            samples["whole read, tutorial"].append(await timed(self.calls.whole, self.other, theirs))
        self.figures.medians |= {name: median(values) for name, values in samples.items()}

    async def _crowd(self) -> None:
        """Time writers of one session at the same time. Each sends its turns one after the other."""
        session = new_id("session")

        async def writer() -> None:
            for _ in range(TURNS_EACH):
                await self.calls.append(session)

        start = time.perf_counter()
        await asyncio.gather(*(writer() for _ in range(WRITERS)))
        self.figures.crowd_seconds = time.perf_counter() - start
        self.figures.crowd_kept = len(await whole_history(self.client, self.system.memory, session))

    async def _rates(self) -> None:
        one: list[float] = []
        many: list[float] = []
        for _ in range(RATE_ROUNDS):
            one.append(await self._rate([new_id("session")] * MANY_WRITERS))
            many.append(await self._rate([new_id("session") for _ in range(MANY_WRITERS)]))
        self.figures.one_session_rate, self.figures.many_sessions_rate = median(one), median(many)

    async def _rate(self, sessions: list[str]) -> float:
        """Return the appends a second with one writer for each of the given sessions."""
        await asyncio.gather(*(self.calls.append(session) for session in sessions))
        calls = [self._appender(session) for session in sessions]
        return (await closed_loop(calls, self.plan.seconds / 2)).per_second

    def _appender(self, session: str) -> Callable[[], Awaitable[bool]]:
        return lambda: self.calls.append(session)

    async def _long(self) -> None:
        """Time a session that is replaced once and then appended to until it has the planned length."""
        session = await self._session(REPLACE_MESSAGES)
        appends = (self.plan.long_session - REPLACE_MESSAGES) // (2 * PAIRS_AN_APPEND) + LONG_WRITERS

        async def writer() -> None:
            for _ in range(appends // LONG_WRITERS):
                await timed(self.calls.append, session, PAIRS_AN_APPEND)

        await asyncio.gather(*(writer() for _ in range(LONG_WRITERS)))
        samples = [await timed(self.calls.newest_and_append, session) for _ in range(CONTINUED_READS)]
        self.figures.medians["newest and append, long"] = median(samples)
        start = time.perf_counter()
        self.figures.long_messages = len(await whole_history(self.client, self.system.memory, session))
        self.figures.medians["whole read, long"] = time.perf_counter() - start

    async def _session(self, size: int) -> str:
        """Create a session of ours of that size whose history is in pages. Returns its id."""
        session = new_id("session")
        await seed(self.client, self.system.memory, session, size)
        await timed(self.calls.append, session)
        return session
