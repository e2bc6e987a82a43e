"""What is measured of both systems: turns by session length and by number of users, messages kept, and bytes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import aiohttp

from bench.load import Entry, Rate, closed_loop, new_id, new_user, seed, summarize, timed, turn, whole_history
from bench.measured import MeasuredSystem
from bench.plan import Plan
from bench.relay import Relay

SIZES = (0, 100, 1_000, 10_000)
"""Lengths of the sessions in which turns are timed, in messages."""

USERS = (1, 16, 64)
"""Numbers of users who talk at the same time."""

AT_ONCE = 64
"""Turns that are sent to one session at the same time."""

WARM_UP_TURNS = 3
"""Turns before the clock starts: they open connections, and the first moves a seeded history into pages."""

BYTES_SIZES = (100, 10_000)
"""Lengths of the sessions in which bytes are counted, in messages."""


@dataclass(slots=True)
class TurnFigures:
    """The figures of one system. Times in seconds; sizes in messages."""

    latencies: dict[int, list[float]] = field(default_factory=dict)
    first_turns: dict[int, float] = field(default_factory=dict)
    rates: dict[int, Rate] = field(default_factory=dict)
    kept: int = 0
    sent: int = 0
    bytes_sent: dict[int, float] = field(default_factory=dict)
    bytes_received: dict[int, float] = field(default_factory=dict)

    def add(self, other: "TurnFigures") -> None:
        """Add what another round measured."""
        for size, seconds in other.latencies.items():
            self.latencies.setdefault(size, []).extend(seconds)
        for size, first in other.first_turns.items():
            self.first_turns[size] = min(first, self.first_turns.get(size, first))
        for users, rate in other.rates.items():
            self.rates[users] = rate + self.rates.get(users, Rate(0, 0, 0.0))
        self.kept += other.kept
        self.sent += other.sent

    @property
    def failed(self) -> int:
        """Turns of the closed loops that got no reply."""
        return sum(rate.failed for rate in self.rates.values())


async def measure(client: aiohttp.ClientSession, systems: Sequence[MeasuredSystem], plan: Plan) -> list[TurnFigures]:
    """Measure a round of everything but the bytes. The systems alternate, so that a busy machine slows all alike."""
    figures = [TurnFigures() for _ in systems]
    talks = [SizeTalks(client, system, await new_user(client, system.memory)) for system in systems]
    for talk in talks:
        await talk.prepare()
    for number in range(-WARM_UP_TURNS, plan.turns // plan.rounds):
        for size in SIZES:
            for talk in talks:
                await talk.turn(size, keep=number >= 0)
    for found, talk in zip(figures, talks, strict=True):
        found.latencies, found.first_turns = talk.latencies, talk.first_turns
    for users in USERS:
        for found, system in zip(figures, systems, strict=True):
            found.rates[users] = await _by_users(client, system, users, plan.seconds / plan.rounds)
    for found, system in zip(figures, systems, strict=True):
        found.kept, found.sent = await _at_once(client, system)
    return figures


async def measure_bytes(
    client: aiohttp.ClientSession, system: MeasuredSystem, relay: Relay, plan: Plan, figures: TurnFigures
) -> None:
    """Count the mean bytes of a turn between memory service and sidecar. The system must use the relay."""
    user = await new_user(client, system.memory)
    for size in BYTES_SIZES:
        session = await seeded(client, system, user, size)
        sent, received = relay.sent, relay.received
        for number in range(plan.bytes_turns):
            await timed(turn, client, system, user, session, f"counted {number}")
        figures.bytes_sent[size] = (relay.sent - sent) / plan.bytes_turns
        figures.bytes_received[size] = (relay.received - received) / plan.bytes_turns


async def seeded(client: aiohttp.ClientSession, system: MeasuredSystem, user: str, size: int) -> str:
    """Create a session of `size` messages and send its first turns. Returns its id."""
    session = await _unused(client, system, size)
    for number in range(WARM_UP_TURNS):
        await timed(turn, client, system, user, session, f"warm-up {number}")
    return session


async def _unused(client: aiohttp.ClientSession, system: MeasuredSystem, size: int) -> str:
    """Create a session of `size` messages without a turn. Returns its id."""
    session = new_id("session")
    if size:
        await seed(client, system.memory, session, size)
        if system.kind == "ours":
            await summarize(client, system.memory, session)
    return session


@dataclass(slots=True)
class SizeTalks:
    """One user's sessions of every size in one system, and the seconds that their turns took."""

    client: aiohttp.ClientSession
    system: MeasuredSystem
    user: str
    sessions: dict[int, str] = field(default_factory=dict)
    first_turns: dict[int, float] = field(default_factory=dict)
    latencies: dict[int, list[float]] = field(default_factory=dict)

    async def prepare(self) -> None:
        """Seed the sessions and send the first turn of each."""
        for size in SIZES:
            self.sessions[size] = await _unused(self.client, self.system, size)
            self.latencies[size] = []
            self.first_turns[size] = await self._seconds(self.sessions[size])

    async def turn(self, size: int, *, keep: bool) -> None:
        """Send one turn to the session of that size, or to a new session for size 0."""
        seconds = await self._seconds(self.sessions[size] if size else None)
        if keep:
            self.latencies[size].append(seconds)

    async def _seconds(self, session: str | None) -> float:
        return await timed(turn, self.client, self.system, self.user, session, "Tell me something, please.")


async def _by_users(client: aiohttp.ClientSession, system: MeasuredSystem, users: int, seconds: float) -> Rate:
    calls = [_talker(client, system, await new_user(client, system.memory)) for _ in range(users)]
    await asyncio.gather(*(call() for call in calls))  # before the clock starts, connections and sessions exist
    return await closed_loop(calls, seconds)


def _talker(client: aiohttp.ClientSession, system: MeasuredSystem, user: str) -> Callable[[], Awaitable[bool]]:
    session = new_id("session")
    return lambda: turn(client, system, user, session, "Tell me something, please.")


async def _at_once(client: aiohttp.ClientSession, system: MeasuredSystem) -> tuple[int, int]:
    """Send turns to one session at the same time. Returns how many messages the history has, and how many it should."""
    user, session = await new_user(client, system.memory), new_id("session")
    texts = {f"at once {number}" for number in range(AT_ONCE)}
    await asyncio.gather(*(turn(client, system, user, session, text) for text in texts))
    kept = await _history(client, system, session)
    expected = texts | {f"You said: {text}" for text in texts}
    return len(expected & {entry["content"] for entry in kept}), len(expected)


async def _history(client: aiohttp.ClientSession, system: MeasuredSystem, session: str) -> list[Entry]:
    try:
        return await whole_history(client, system.memory, session)
    except aiohttp.ClientResponseError as error:
        if system.kind == "tutorial" and error.status == 500:
            return []  # its response for a session of which nothing was saved
        raise
