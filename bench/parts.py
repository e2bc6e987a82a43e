"""A turn and its parts, each measured alone and alternately in one run."""

import time
from collections import defaultdict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from statistics import median

import aiohttp

from bench.bare_agent import BareAgent
from bench.compare import seeded
from bench.load import CallError, Entry, message, new_id, new_user, succeeded, timed, turn
from bench.measured import MeasuredSystem
from bench.plan import Plan

PART_SIZES = (100, 10_000)
"""Lengths of the sessions, in messages."""

WINDOW_MESSAGES = 20
"""Messages that the chat service reads for a turn."""

WARM_UP_ROUNDS = 3
"""Rounds that are not counted."""

DELTA = b"event: delta"
"""The line with which a piece of the reply begins in a stream."""

Samples = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class PartFigures:
    """Medians in seconds by session size and by what was measured."""

    medians: dict[int, dict[str, float]]

    def turn_over_parts(self, size: int) -> float:
        """Return a turn's time divided by the sum of its parts."""
        found = self.medians[size]
        return found["turn"] / (found["read"] + found["agent run"] + found["append"])

    def delta_over_parts(self, size: int) -> float:
        """Return the time to the first delta divided by that to the bare agent's first token plus the read."""
        found = self.medians[size]
        return found["first delta"] / (found["first token"] + found["read"])


async def measure_parts(
    client: aiohttp.ClientSession, system: MeasuredSystem, agent: BareAgent, plan: Plan
) -> PartFigures:
    """Measure rounds of everything, for each size alternately."""
    user = await new_user(client, system.memory)
    benches = [PartBench(client, system, agent, user, await seeded(client, system, user, size)) for size in PART_SIZES]
    for number in range(-WARM_UP_ROUNDS, plan.part_rounds):
        for bench in benches:
            await bench.round(keep=number >= 0)
    return PartFigures({size: bench.medians() for size, bench in zip(PART_SIZES, benches, strict=True)})


class PartBench:
    """Measures turns and their parts in one session."""

    def __init__(
        self, client: aiohttp.ClientSession, system: MeasuredSystem, agent: BareAgent, user: str, session: str
    ) -> None:
        self.client = client
        self.system = system
        self.agent = agent
        self.user = user
        self.session = session
        self.window: list[Entry] = []
        self.samples: Samples = defaultdict(list)

    def medians(self) -> dict[str, float]:
        """Return the median of each measure."""
        return {name: median(values) for name, values in self.samples.items()}

    async def round(self, *, keep: bool) -> None:
        """Take each measure once."""
        measures: dict[str, Callable[[], Coroutine[None, None, float]]] = {
            "turn": lambda: timed(turn, self.client, self.system, self.user, self.session, "a turn"),
            "read": lambda: timed(self._read),
            "agent run": lambda: timed(self.agent.run, self.window, "a turn"),
            "append": lambda: timed(self._append),
            "first delta": self._first_delta,
            "first token": lambda: self.agent.first_token(self.window, "a turn"),
        }
        for name, measure in measures.items():
            seconds = await measure()
            if keep:
                self.samples[name].append(seconds)

    async def _read(self) -> bool:
        query = f"session_id={self.session}&last={WINDOW_MESSAGES}"
        async with self.client.get(self.system.invoke(f"memories/{self.user}/recall?{query}")) as response:
            if not await succeeded(response):
                return False
            self.window = (await response.json())["conversation"]["history"]
            return True

    async def _append(self) -> bool:
        url = self.system.invoke(f"conversations/{self.session}/turns")
        async with self.client.post(url, json=turn_body(self.user, "a turn")) as response:
            return await succeeded(response, 201)

    async def _first_delta(self) -> float:
        """Return the seconds to the first `delta` event. The stream is read to its end."""
        body = message(self.user, self.session, "a turn")
        start = time.perf_counter()
        first = 0.0
        async with self.client.post(f"{self.system.chat}/chat/stream", json=body) as response:
            async for line in response.content:
                if not first and line.startswith(DELTA):
                    first = time.perf_counter() - start
        if not first:
            raise CallError("a stream had no delta event")
        return first


def turn_body(user: str, text: str, pairs: int = 1) -> dict[str, object]:
    """Return the body of an append: one turn of `pairs` pairs of messages."""
    entries = [{"role": "user", "content": text}, {"role": "assistant", "content": f"You said: {text}"}] * pairs
    return {"turn_id": new_id("turn"), "user_id": user, "entries": entries}
