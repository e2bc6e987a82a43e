"""CPU time of a turn, by process, beside the floor of each process: the least that its part of a turn can take.

CPU time is what a busy machine changes least, and what the number of turns a second comes down to.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from statistics import median

import aiohttp
import psutil

from bench.bare_agent import BareAgent
from bench.compare import seeded
from bench.load import CallError, history, new_id, new_user, succeeded, turn
from bench.measured import MeasuredSystem
from bench.memory_calls import MemoryCalls
from bench.parts import WINDOW_MESSAGES
from bench.plan import Plan

USERS = 16
"""Users who talk at the same time."""

SESSION_MESSAGES = 100
"""Length of their sessions, in messages."""

WARM_UP_CALLS = 64
"""Calls of each kind that are not counted."""

Samples = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class CpuFigures:
    """Median seconds of CPU of one turn by system and process, and of the floors by their names."""

    turns: Mapping[str, Mapping[str, float]]
    floors: Mapping[str, float]


async def measure_cpu(
    client: aiohttp.ClientSession,
    systems: Mapping[str, MeasuredSystem],
    ours: MeasuredSystem,
    agent: BareAgent,
    plan: Plan,
) -> CpuFigures:
    """Measure rounds of turns of all systems alternately, and in each round the floors."""
    calls = {name: await _turns(client, system) for name, system in systems.items()}
    floors = await _floors(client, ours, agent)
    turns: dict[str, Samples] = {name: defaultdict(list) for name in systems}
    samples: Samples = defaultdict(list)
    for number in range(-1, plan.cpu_rounds):
        count = WARM_UP_CALLS if number < 0 else plan.cpu_turns
        for name, system in systems.items():
            for process, seconds in (await _spent(calls[name], count, system.pids)).items():
                if number >= 0:
                    turns[name][process].append(seconds)
        for name, (call, pids) in floors.items():
            spent = await _spent(call, count, pids)
            if number >= 0:
                samples[name].append(sum(spent.values()))
    return CpuFigures({name: _medians(found) for name, found in turns.items()}, _medians(samples))


Call = Callable[[int], Awaitable[bool]]
"""One call for the user with this number. Returns whether it succeeded."""


async def _turns(client: aiohttp.ClientSession, system: MeasuredSystem) -> Call:
    users = [await new_user(client, system.memory) for _ in range(USERS)]
    sessions = [await seeded(client, system, user, SESSION_MESSAGES) for user in users]
    return lambda user: turn(client, system, users[user], sessions[user], "a turn")


async def _floors(
    client: aiohttp.ClientSession, system: MeasuredSystem, agent: BareAgent
) -> dict[str, tuple[Call, Mapping[str, int]]]:
    """The floors: what is called, and the processes whose time counts."""
    memory_calls, key = MemoryCalls(client, system), new_id("bare")
    await memory_calls.bare_save(key, "")
    window = history(WINDOW_MESSAGES)
    own = {"bench": psutil.Process().pid}
    sidecars = {name: pid for name, pid in system.pids.items() if name.endswith("sidecar")}

    async def invocation(_: int) -> bool:
        async with client.get(system.invoke("health/live")) as response:
            return await succeeded(response)

    async def state_read(_: int) -> bool:
        async with client.get(system.state(key)) as response:
            return await succeeded(response)

    return {
        "a bare Runner.run, with the client of this process": (lambda _: agent.run(window, "a turn"), own),
        "a bare invocation, both sidecars": (invocation, sidecars),
        "a bare invocation, the memory service": (invocation, {"memory": system.pids["memory"]}),
        "a bare state read, the memory's sidecar": (state_read, {"sidecar": system.pids["memory's sidecar"]}),
    }


async def _spent(call: Call, count: int, pids: Mapping[str, int]) -> dict[str, float]:
    """Make about `count` calls of all users at the same time. Returns the seconds of CPU for each call that succeeded.

    Raises CallError if none did: turns of the tutorial fail under load.
    """

    async def talk(user: int) -> int:
        return sum([await call(user) for _ in range(max(1, count // USERS))])

    before = {name: _seconds(pid) for name, pid in pids.items()}
    done = sum(await asyncio.gather(*map(talk, range(USERS))))
    if not done:
        raise CallError("every call whose CPU time is measured failed")
    return {name: (_seconds(pid) - before[name]) / done for name, pid in pids.items()}


def _seconds(pid: int) -> float:
    if pid == psutil.Process().pid:
        return time.process_time()
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _medians(samples: Samples) -> dict[str, float]:
    return {name: median(values) for name, values in samples.items()}
