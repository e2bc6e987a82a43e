"""Whether what happened in a run is what its operations may do and be answered."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from errors import HistoryDamaged
from tests.fake_dapr import SEED
from tests.history_oracle import Change, View
from tests.simulation import Record, Simulation
from tests.workload import Append

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
            for step in steps(change):
                name = maker(simulation, step)
                assert name, f"{change.by} {simulation.records[change.by].asked} made {step} of {session}"
                # A turn whose history was replaced before it was known to be saved is added to the new one.
                is_append = isinstance(simulation.records[name].asked, Append)
                effect = (name, step.after.epoch if is_append else None)
                assert effect not in made, f"{name} {simulation.records[name].asked} took effect twice"
                made.add(effect)
    for name, record in simulation.records.items():
        states = observer.during(record.asked.session, record.start, record.end)
        assert record.crashed or agrees(record, states), f"{name} {record}: {states}"


def steps(change: Change) -> list[Change]:
    """The change turn by turn: one write may add the turns of several clients of a replica."""
    before, after = change.before, change.after
    begun = before if before.epoch == after.epoch else View()
    added = after.lines[len(begun.lines) :]
    grew = after.live and after.lines[: len(begun.lines)] == begun.lines and all(turn for _, turn in added)
    views = [before]
    for turn in dict.fromkeys(turn for _, turn in added) if grew else ():
        lines = tuple(line for line in added if line[1] == turn)
        so_far = views[-1].lines if views[-1].epoch == after.epoch else ()
        views.append(replace(after, lines=(*so_far, *lines)))
    if views[-1].lines != after.lines or len(views) == 1:
        return [change]
    return [replace(change, before=one, after=next_one) for one, next_one in pairwise(views)]


def maker(simulation: Simulation, step: Change) -> str | None:
    """The operation that made a change: the one that wrote it, or an append under way that it was written with."""
    writer = simulation.records[step.by]
    if writer.asked.may(step.before, step.after):
        return step.by
    if not isinstance(writer.asked, Append):
        return None
    for name, record in simulation.records.items():
        under_way = record.start <= step.tick and (not record.ended or step.tick <= record.end)
        with_it = isinstance(record.asked, Append) and record.asked.session == writer.asked.session
        if under_way and with_it and record.asked.may(step.before, step.after):
            return name
    return None


def agrees(record: Record, states: Sequence[View]) -> bool:
    if record.error is None:
        return record.asked.agrees(record.answer, states)
    if isinstance(record.error, HistoryDamaged):
        return False
    return record.error.status == 503 or any(record.asked.refusal_agrees(record.error, state) for state in states)
