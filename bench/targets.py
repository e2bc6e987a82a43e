"""The rows of the table, and the targets that the figures are compared with."""

from collections.abc import Iterator

from bench.compare import AT_ONCE, BYTES_SIZES, SIZES, USERS, TurnFigures
from bench.cpu import USERS as CPU_USERS
from bench.cpu import CpuFigures
from bench.identity import IdentityFigures
from bench.memory import MANY_WRITERS, TURNS_EACH, WRITERS, MemoryFigures
from bench.parts import PART_SIZES, PartFigures
from bench.table import Row, Target, p50, p95

MS = 1_000
PERCENT = 100


def turn_rows(tutorial: TurnFigures, ours: TurnFigures) -> Iterator[Row]:
    """Yield the rows that compare turns with the tutorial's."""
    for name, measure in (("p50", p50), ("p95", p95)):
        for size in SIZES:
            yield Row(
                f"turn {name}, session of {size:,} messages",
                measure(tutorial.latencies[size]) * MS,
                measure(ours.latencies[size]) * MS,
                "ms",
            )
    last = SIZES[-1]
    yield Row(
        f"first turn after {last:,} messages came in one piece",
        tutorial.first_turns[last] * MS,
        ours.first_turns[last] * MS,
        "ms",
    )
    for users in USERS:
        rates = tutorial.rates[users].per_second, ours.rates[users].per_second
        yield Row(f"turns a second, {users} users", *rates, "/s", more_is_better=True)
    yield Row("turns that failed meanwhile", tutorial.failed, ours.failed, "")
    yield Row(
        f"messages kept of {ours.sent}, {AT_ONCE} turns of one session at once",
        tutorial.kept,
        ours.kept,
        "",
        more_is_better=True,
    )
    for size in BYTES_SIZES:
        yield Row(
            f"bytes a turn to the store, {size:,} messages", tutorial.bytes_sent[size], ours.bytes_sent[size], "B"
        )
    for size in BYTES_SIZES:
        pair = tutorial.bytes_received[size], ours.bytes_received[size]
        yield Row(f"bytes a turn from the store, {size:,} messages", *pair, "B")


def turn_targets(tutorial: TurnFigures, ours: TurnFigures) -> Iterator[Target]:
    """Yield the targets of a turn compared with the tutorial's."""
    worst = min(p50(tutorial.latencies[size]) / p50(ours.latencies[size]) for size in SIZES)
    yield Target("p50 of a turn, times better than the tutorial's, worst size", 13, worst, at_least=True)
    for users in (16, 64):
        crowd = ours.rates[users].per_second / tutorial.rates[users].per_second
        yield Target(f"turns a second with {users} users, times the tutorial's", 18, crowd, at_least=True)
        yield Target("the same, the aim", 20, crowd, at_least=True)
    flat = p50(ours.latencies[10_000]) / p50(ours.latencies[100])
    yield Target("a turn at 10,000 messages by one at 100", 1.15, flat)
    yield Target("messages kept of turns at once", ours.sent, ours.kept, at_least=True)


def part_lines(parts: PartFigures) -> Iterator[str]:
    """Yield a line for each size: the medians of a turn and its parts."""
    for size in PART_SIZES:
        found = ", ".join(f"{name} {seconds * MS:.2f}" for name, seconds in parts.medians[size].items())
        yield f"at {size:,} messages, ms: {found}"


def part_targets(parts: PartFigures) -> Iterator[Target]:
    """Yield the targets of a turn compared with its parts."""
    for size in PART_SIZES:
        yield Target(f"a turn by the sum of its parts, {size:,} messages", 1.10, parts.turn_over_parts(size))
        delta = parts.delta_over_parts(size)
        yield Target(f"first delta by first token and read, {size:,} messages", 1.25, delta)


def cpu_rows(found: CpuFigures) -> Iterator[Row]:
    """Yield the row that compares the CPU time of a turn, if both systems were measured alternately."""
    totals = {name: sum(processes.values()) * MS for name, processes in found.turns.items()}
    if "tutorial" in totals:
        yield Row(f"CPU time of a turn, {CPU_USERS} users", totals["tutorial"], totals["ours"], "ms")


def cpu_targets(found: CpuFigures) -> Iterator[Target]:
    """Yield the target for the CPU time of a turn."""
    yield Target("CPU time of a turn", 12.5, sum(found.turns["ours"].values()) * MS, " ms")


def cpu_lines(found: CpuFigures) -> Iterator[str]:
    """Yield the CPU time of a turn, by process, and the floors."""
    for name, processes in found.turns.items():
        parts = ", ".join(f"{process} {seconds * MS:.2f}" for process, seconds in processes.items())
        yield f"{name}, ms: {sum(processes.values()) * MS:.2f} = {parts}"
    for name, seconds in found.floors.items():
        yield f"floor, ms: {name} {seconds * MS:.2f}"


def memory_lines(found: MemoryFigures) -> Iterator[str]:
    """Yield the medians and rates of the memory service."""
    yield "ms: " + ", ".join(f"{name} {seconds * MS:.2f}" for name, seconds in found.medians.items())
    yield f"appends a second, {MANY_WRITERS} writers: one session {found.one_session_rate:.0f}, " + (
        f"as many sessions {found.many_sessions_rate:.0f}"
    )


def memory_targets(found: MemoryFigures, long_session: int) -> Iterator[Target]:
    """Yield the targets of the memory service."""
    pairs = [found.medians[f"newest and append at {size}"] for size in (100, 10_000)]
    for size, seconds in zip((100, 10_000), pairs, strict=True):
        yield Target(f"newest 20 and append by two bare calls, {size:,} messages", 3.5, seconds / found.medians["bare"])
    yield Target("the same, 10,000 messages by 100", 1.2, pairs[1] / pairs[0])
    sent = 2 * WRITERS * TURNS_EACH
    yield Target(
        f"{WRITERS} writers x {TURNS_EACH} turns on one session, messages kept", sent, found.crowd_kept, at_least=True
    )
    yield Target("the same, time", 1.5, found.crowd_seconds, " s")
    share = found.one_session_rate / found.many_sessions_rate
    yield Target(f"{MANY_WRITERS} writers, one session by as many", 0.6, share, at_least=True)
    whole = found.medians["whole read"] / found.medians["whole read, tutorial"]
    yield Target("a whole read of 10,000 messages by the tutorial's", 2, whole)
    yield Target("messages in a long session", long_session, found.long_messages, at_least=True)


def identity_line(found: IdentityFigures) -> str:
    """Return the medians with and without tokens."""
    return "ms: " + ", ".join(f"{name} {seconds * MS:.2f}" for name, seconds in found.medians.items())


def identity_targets(found: IdentityFigures) -> Iterator[Target]:
    """Yield the targets of what a checked turn costs more."""
    yield Target("a token that was sent before, by a turn", 3, found.known_share * PERCENT, "%")
    yield Target("a token that is sent for the first time, by a turn", 3, found.new_share * PERCENT, "%")
