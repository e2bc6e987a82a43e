"""How much a run measures: everything, or less with QUICK=1."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured. `turns` and `seconds` are those of all rounds together.

    `bytes_turns` is a multiple of 6, so that it holds whole cycles of sealing (12 entries).
    """

    turns: int
    seconds: float
    rounds: int
    bytes_turns: int
    memory_rounds: int
    part_rounds: int
    long_session: int
    identity_rounds: int
    cpu_rounds: int
    cpu_turns: int


FULL = Plan(
    turns=40,
    seconds=8.0,
    rounds=4,
    bytes_turns=36,
    memory_rounds=150,
    part_rounds=60,
    long_session=100_000,
    identity_rounds=600,
    cpu_rounds=5,
    cpu_turns=192,
)
QUICK = Plan(
    turns=8,
    seconds=2.0,
    rounds=2,
    bytes_turns=12,
    memory_rounds=30,
    part_rounds=15,
    long_session=15_000,
    identity_rounds=150,
    cpu_rounds=3,
    cpu_turns=96,
)
