"""Whether what happened in a run is what its operations may do and be answered."""

from collections.abc import Sequence

from errors import HistoryDamaged
from fake_dapr import SEED
from history_oracle import View
from simulation import Record, Simulation
from workload import Append

PAGE_KEY_COLONS = 3


def judge(simulation: Simulation) -> None:
    """Every change was one its operation may make, once; every answer agrees with a state of its time."""
    observer = simulation.observer
    for commit in observer.stated:  # a write that states no TTL would leave an older one running
        is_page = commit.key.count(":") == PAGE_KEY_COLONS
        assert is_page or commit.by == SEED or commit.data is None or commit.ttl, f"no TTL stated: {commit}"
    for session, changes in observer.changes.items():
        made: set[tuple[str, str | None]] = set()
        for change in changes:
            if change.by == SEED:
                continue
            record = simulation.records[change.by]
            assert record.asked.may(change.before, change.after), (
                f"{change.by} {record.asked} made {change} of {session}"
            )
            # A turn whose history was replaced before it was known to be saved is added to the new one.
            effect = (change.by, change.after.epoch if isinstance(record.asked, Append) else None)
            assert effect not in made, f"{change.by} {record.asked} took effect twice"
            made.add(effect)
    for name, record in simulation.records.items():
        states = observer.during(record.asked.session, record.start, record.end)
        assert record.crashed or agrees(record, states), f"{name} {record}: {states}"


def agrees(record: Record, states: Sequence[View]) -> bool:
    if record.error is None:
        return record.asked.agrees(record.answer, states)
    if isinstance(record.error, HistoryDamaged):
        return False
    return record.error.status == 503 or any(record.asked.refusal_agrees(record.error, state) for state in states)
