"""What is measured of both systems alike: turns by length of session, by number of users, kept, and bytes."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp

from bench.load import Rate, closed_loop, new_id, new_user, seed, summarize, timed, turn, whole_history
from bench.relay import Relay
from bench.systems import System

SIZES = (0, 100, 1_000, 10_000)
USERS = (1, 16, 64)
AT_ONCE = 64
WARM_UP_TURNS = 3  # connections, imports, and the one append that moves a replaced history into pages
BYTES_SIZES = (100, 10_000)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured. `bytes_turns` is a multiple of 6: whole cycles of sealing, 12 entries a page."""

    turns: int
    seconds: float
    bytes_turns: int
    memory_rounds: int
    part_rounds: int
    long_session: int


FULL = Plan(turns=40, seconds=4.0, bytes_turns=36, memory_rounds=150, part_rounds=60, long_session=100_000)
QUICK = Plan(turns=8, seconds=1.5, bytes_turns=12, memory_rounds=30, part_rounds=15, long_session=15_000)


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


async def measure(client: aiohttp.ClientSession, system: System, plan: Plan) -> TurnFigures:
    """All but the bytes."""
    figures = TurnFigures()
    await _by_size(client, system, plan, figures)
    for users in USERS:
        figures.rates[users] = await _by_users(client, system, users, plan.seconds)
    figures.kept, figures.sent = await _at_once(client, system)
    return figures


async def measure_bytes(
    client: aiohttp.ClientSession, system: System, relay: Relay, plan: Plan, figures: TurnFigures
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


async def seeded(client: aiohttp.ClientSession, system: System, user: str, size: int) -> str:
    """A new session of that many messages that has had its first turns."""
    session = await _untouched(client, system, size)
    for number in range(WARM_UP_TURNS):
        await timed(turn, client, system, user, session, f"warm-up {number}")
    return session


async def _untouched(client: aiohttp.ClientSession, system: System, size: int) -> str:
    """A new session of that many messages that has had no turn yet."""
    session = new_id("session")
    if size:
        await seed(client, system.memory, session, size)
        if system.kind == "ours":
            await summarize(client, system.memory, session)
    return session


async def _by_size(client: aiohttp.ClientSession, system: System, plan: Plan, figures: TurnFigures) -> None:
    """Turns one at a time, the sizes taking turns so that what else the machine does falls on all alike."""
    user = await new_user(client, system.memory)
    sessions: dict[int, str] = {}
    for size in SIZES:
        session = sessions[size] = await _untouched(client, system, size)
        figures.first_turns[size] = await timed(turn, client, system, user, session, "first")
        figures.latencies[size] = []
    for number in range(-WARM_UP_TURNS, plan.turns):
        for size in SIZES:
            session = sessions[size] if size else new_id("session")
            seconds = await timed(turn, client, system, user, session, f"turn {number}")
            if number >= 0:
                figures.latencies[size].append(seconds)


async def _by_users(client: aiohttp.ClientSession, system: System, users: int, seconds: float) -> Rate:
    calls = [_talker(client, system, await new_user(client, system.memory)) for _ in range(users)]
    await asyncio.gather(*(call() for call in calls))  # connections and sessions are there before the clock starts
    return await closed_loop(calls, seconds)


def _talker(client: aiohttp.ClientSession, system: System, user: str) -> Callable[[], Awaitable[bool]]:
    session = new_id("session")
    return lambda: turn(client, system, user, session, "Tell me something, please.")


async def _at_once(client: aiohttp.ClientSession, system: System) -> tuple[int, int]:
    """Turns of one session at the same time: how many messages are in the history afterwards, and how many belong."""
    user, session = await new_user(client, system.memory), new_id("session")
    texts = {f"at once {number}" for number in range(AT_ONCE)}
    await asyncio.gather(*(turn(client, system, user, session, text) for text in texts))
    kept = await whole_history(client, system.memory, session)
    expected = texts | {f"You said: {text}" for text in texts}
    return len(expected & {entry["content"] for entry in kept}), len(expected)
