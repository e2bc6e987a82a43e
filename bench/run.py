"""One run: the tutorial's system and ours alternately, then the parts of our turn, then the bytes of both."""

from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack

from bench.bare_agent import BareAgent
from bench.compare import TurnFigures, measure, measure_bytes
from bench.cpu import SESSION_MESSAGES, USERS, CpuFigures, measure_cpu
from bench.identity import IdentityFigures, measure_identity
from bench.measured import Bench, Kind, MeasuredSystem, running, tutorial_memory
from bench.memory import MemoryBench, MemoryFigures
from bench.memory_calls import MemoryCalls
from bench.parts import PartFigures, measure_parts
from bench.picture import picture
from bench.plan import Plan
from bench.relay import relay
from bench.table import Row, Target, table
from bench.targets import (
    cpu_lines,
    cpu_rows,
    cpu_targets,
    identity_line,
    identity_targets,
    memory_lines,
    memory_targets,
    part_lines,
    part_targets,
    turn_rows,
    turn_targets,
)
from harness.environment import free_ports

KINDS: tuple[Kind, ...] = ("tutorial", "ours")
"""The systems that are compared."""


async def run(bench: Bench, plan: Plan) -> str:
    """Measure everything and print it. Returns the table as SVG."""
    say(f"Sidecars: {bench.sidecars_name}. The same model endpoint, client and kind of sidecar for both; medians.")
    tutorial, ours = await compared(bench, plan)
    say("measuring CPU time")
    cpu = await measured_cpu(bench, plan)
    async with running(bench, "ours") as system:
        say("measuring the parts of a turn")
        parts = await measured_parts(bench, system, plan)
        say("measuring the memory service by itself")
        memory = await measured_memory(bench, system, plan)
    say("measuring what the check of a token costs")
    identity = await measure_identity(bench, plan)
    await count_bytes(bench, "tutorial", plan, tutorial)
    await count_bytes(bench, "ours", plan, ours)
    rows = [*turn_rows(tutorial, ours), *cpu_rows(cpu)]
    show(rows, tutorial, ours, cpu, parts, memory, identity, plan)
    if not bench.sidecars.isolated:
        say("\nRedis keeps this run's keys: redis-cli --scan --pattern '*bench-*' | xargs redis-cli del")
    return picture(rows, f"The tutorial's turn and ours, in one run. Sidecars: {bench.sidecars_name}")


async def compared(bench: Bench, plan: Plan) -> list[TurnFigures]:
    """Measure rounds of turns of the tutorial's system and ours: side by side if both can run at once, else in turn."""
    say("measuring turns")
    figures = {kind: TurnFigures() for kind in KINDS}

    async def measure_round(*systems: MeasuredSystem) -> None:
        for system, found in zip(systems, await measure(bench.client, systems, plan), strict=True):
            figures[system.kind].add(found)

    if bench.sidecars.isolated:
        async with running(bench, "tutorial") as theirs, running(bench, "ours") as mine:
            for _ in range(plan.rounds):
                await measure_round(theirs, mine)
    else:
        for _ in range(plan.rounds):
            for kind in KINDS:
                async with running(bench, kind) as system:
                    await measure_round(system)
    return [*figures.values()]


async def measured_cpu(bench: Bench, plan: Plan) -> CpuFigures:
    """Measure the CPU time of a turn of both systems, alternately if both can run at once, else of ours alone."""
    agent = BareAgent(bench.model_url)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(agent.close)
        ours = await stack.enter_async_context(running(bench, "ours"))
        systems = {"ours": ours}
        if bench.sidecars.isolated:
            systems["tutorial"] = await stack.enter_async_context(running(bench, "tutorial"))
        return await measure_cpu(bench.client, systems, ours, agent, plan)


async def count_bytes(bench: Bench, kind: Kind, plan: Plan, figures: TurnFigures) -> None:
    """Count the bytes in a separate system, whose memory service reaches its sidecar through the relay."""
    say(f"counting bytes: {kind}")
    (sidecar_port,) = free_ports(1)
    async with (
        relay(sidecar_port) as counting,
        running(bench, kind, memory_sidecar_port=sidecar_port, state_port=counting.port) as system,
    ):
        await measure_bytes(bench.client, system, counting, plan, figures)


async def measured_parts(bench: Bench, system: MeasuredSystem, plan: Plan) -> PartFigures:
    """Measure a turn and its parts."""
    agent = BareAgent(bench.model_url)
    try:
        return await measure_parts(bench.client, system, agent, plan)
    finally:
        await agent.close()


async def measured_memory(bench: Bench, system: MeasuredSystem, plan: Plan) -> MemoryFigures:
    """Measure the memory service. The tutorial's is started on the same sidecar for the whole reads."""
    async with tutorial_memory(bench, system.memory_sidecar_port) as tutorial:
        calls = MemoryCalls(bench.client, system)
        return await MemoryBench(bench.client, system, tutorial, plan, calls).measure()


def show(
    rows: Sequence[Row],
    tutorial: TurnFigures,
    ours: TurnFigures,
    cpu: CpuFigures,
    parts: PartFigures,
    memory: MemoryFigures,
    identity: IdentityFigures,
    plan: Plan,
) -> None:
    """Print the table, the other figures and the targets."""
    say("\n" + table(rows))
    say(f"\nCPU time of a turn, {USERS} users, sessions of {SESSION_MESSAGES} messages and more")
    say_all(cpu_lines(cpu))
    say("\nA turn and its parts, each alone")
    say_all(part_lines(parts))
    say("\nThe memory service by itself")
    say_all(memory_lines(memory))
    say("\nA message without text, which is rejected, and a turn: without and with a token")
    say(identity_line(identity))
    say("\nTargets")
    targets: list[Target] = [
        *turn_targets(tutorial, ours),
        *cpu_targets(cpu),
        *part_targets(parts),
        *memory_targets(memory, plan.long_session),
        *identity_targets(identity),
    ]
    say_all(target.line() for target in targets)


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)


def say_all(lines: Iterable[str]) -> None:
    """Print each line."""
    for line in lines:
        say(line)
