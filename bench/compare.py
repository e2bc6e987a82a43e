"""What is measured of both systems alike: turns by length of session, by number of users, kept, and bytes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import aiohttp

from bench.load import Rate, closed_loop, new_id, new_user, seed, summarize, timed, turn, whole_history
from bench.measured import MeasuredSystem
from bench.plan import Plan
from bench.relay import Relay

SIZES = (0, 100, 1_000, 10_000)
USERS = (1, 16, 64)
AT_ONCE = 64
WARM_UP_TURNS = 3  # connections, imports, and the one append that moves a replaced history into pages
BYTES_SIZES = (100, 10_000)


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

    @property
    def failed(self) -> int:
        """Turns of the closed loops that got no reply."""
        return sum(rate.failed for rate in self.rates.values())


async def measure(client: aiohttp.ClientSession, systems: Sequence[MeasuredSystem], plan: Plan) -> list[TurnFigures]:
    """All but the bytes, the systems taking turns so that what else the machine does falls on all alike."""
    figures = [TurnFigures() for _ in systems]
    talks = [SizeTalks(client, system, await new_user(client, system.memory)) for system in systems]
    for talk in talks:
        await talk.prepare()
    for number in range(-WARM_UP_TURNS, plan.turns):
        for size in SIZES:
            for talk in talks:
                await talk.turn(size, keep=number >= 0)
    for found, talk in zip(figures, talks, strict=True):
        found.latencies, found.first_turns = talk.latencies, talk.first_turns
    for users in USERS:
        for found, system in zip(figures, systems, strict=True):
            found.rates[users] = await _by_users(client, system, users, plan.seconds)
    for found, system in zip(figures, systems, strict=True):
        found.kept, found.sent = await _at_once(client, system)
    return figures


async def measure_bytes(
    client: aiohttp.ClientSession, system: MeasuredSystem, relay: Relay, plan: Plan, figures: TurnFigures
) -> None:
    """Bytes a turn, mean of some turns, between memory service and sidecar. The system must use the relay."""
    user = await new_user(client, system.memory)
    for size in BYTES_SIZES:
        session = await seeded(client, system, user, size)
        sent, received = relay.sent, relay.received
        for number in range(plan.bytes_turns):
            await timed(turn, client, system, user, session, f"counted {number}")
        figures.bytes_sent[size] = (relay.sent - sent) / plan.bytes_turns
        figures.bytes_received[size] = (relay.received - received) / plan.bytes_turns


async def seeded(client: aiohttp.ClientSession, system: MeasuredSystem, user: str, size: int) -> str:
    """A new session of that many messages that has had its first turns."""
    session = await _untouched(client, system, size)
    for number in range(WARM_UP_TURNS):
        await timed(turn, client, system, user, session, f"warm-up {number}")
    return session


async def _untouched(client: aiohttp.ClientSession, system: MeasuredSystem, size: int) -> str:
    """A new session of that many messages that has had no turn yet."""
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
        """Seed the sessions and take each one's first turn."""
        for size in SIZES:
            self.sessions[size] = await _untouched(self.client, self.system, size)
            self.latencies[size] = []
            self.first_turns[size] = await self._take(self.sessions[size])

    async def turn(self, size: int, *, keep: bool) -> None:
        """One turn in the session of that size, in a new one for size 0."""
        seconds = await self._take(self.sessions[size] if size else new_id("session"))
        if keep:
            self.latencies[size].append(seconds)

    async def _take(self, session: str) -> float:
        return await timed(turn, self.client, self.system, self.user, session, "Tell me something, please.")


async def _by_users(client: aiohttp.ClientSession, system: MeasuredSystem, users: int, seconds: float) -> Rate:
    calls = [_talker(client, system, await new_user(client, system.memory)) for _ in range(users)]
    await asyncio.gather(*(call() for call in calls))  # connections and sessions are there before the clock starts
    return await closed_loop(calls, seconds)


def _talker(client: aiohttp.ClientSession, system: MeasuredSystem, user: str) -> Callable[[], Awaitable[bool]]:
    session = new_id("session")
    return lambda: turn(client, system, user, session, "Tell me something, please.")


async def _at_once(client: aiohttp.ClientSession, system: MeasuredSystem) -> tuple[int, int]:
    """Turns of one session at the same time: how many messages are in the history afterwards, and how many belong."""
    user, session = await new_user(client, system.memory), new_id("session")
    texts = {f"at once {number}" for number in range(AT_ONCE)}
    await asyncio.gather(*(turn(client, system, user, session, text) for text in texts))
    kept = await whole_history(client, system.memory, session)
    expected = texts | {f"You said: {text}" for text in texts}
    return len(expected & {entry["content"] for entry in kept}), len(expected)
