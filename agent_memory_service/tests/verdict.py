"""Whether a run was right: its writes and its results are ones that the operations may have."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from errors import HistoryDamaged
from tests.fake_dapr import SEED
from tests.history_oracle import Change, View
from tests.simulation import Record, Simulation
from tests.user_workload import DuePass, Erase, Forget, Remember
from tests.workload import Append

PAGE_KEY_COLONS = 3
ON_FACTS = (Remember, Forget, Erase)


def judge(simulation: Simulation) -> None:
    """Check that every change is one that its operation may make, made once, and every result agrees with a state."""
    observer = simulation.observer
    for commit in observer.commits:  # a write without a TTL would keep an older one
        is_page = commit.key.count(":") == PAGE_KEY_COLONS
        assert is_page or commit.by == SEED or commit.data is None or commit.ttl, f"no TTL stated: {commit}"
    for session, changes in observer.changes.items():
        made: set[tuple[str, str | None]] = set()
        for change in changes:
            if change.by == SEED:
                continue
            if isinstance(simulation.records[change.by].operation, DuePass):
                assert erase_of(simulation, session, change), f"{change.by} erased {session}, which nobody asked for"
            for step in steps(change):
                name = maker(simulation, step)
                assert name, f"{change.by} {simulation.records[change.by].operation} made {step} of {session}"
                # A turn may be added to a second epoch if the history was replaced before its append ended.
                is_append = isinstance(simulation.records[name].operation, Append)
                effect = (name, step.after.epoch if is_append else None)
                assert effect not in made, f"{name} {simulation.records[name].operation} took effect twice"
                made.add(effect)
    judge_facts(simulation)
    for name, record in simulation.records.items():
        states = observer.during(record.operation.session, record.start, record.end)
        assert record.crashed or agrees(record, states), f"{name} {record}: {states}"


def judge_facts(simulation: Simulation) -> None:
    """Check the facts of every user: no text twice, each change is one that its operation may make, results agree."""
    for user, changes in simulation.observer.facts.items():
        for change in changes:
            assert len(set(change.after)) == len(change.after), f"{change.by} stored a fact of {user} twice: {change}"
            if change.before == change.after or change.by == SEED:
                continue
            operation = simulation.records[change.by].operation
            if isinstance(operation, DuePass):
                assert change.after == (), f"{change.by} made {change}"
            else:
                assert isinstance(operation, ON_FACTS), f"{operation} made {change}"
                assert operation.user == user
                assert operation.may_change_facts(change.before, change.after), f"{operation} made {change}"
    for name, record in simulation.records.items():
        if isinstance(record.operation, ON_FACTS) and record.error is None and not record.crashed:
            states = simulation.observer.facts_during(record.operation.user, record.start, record.end)
            assert record.operation.facts_agree(states), f"{name} {record}: {states}"


def erase_of(simulation: Simulation, session: str, change: Change) -> str | None:
    """The erase that a pass over the due list finished with this change: of the owner, and not older than the session.

    A session whose first request began after the erase ended, also by a crash, must stay.
    """
    begun = [it for it in simulation.observer.changes[session] if it.after.live and it.tick < change.tick]
    first = simulation.records[begun[0].by].start if begun and begun[0].by in simulation.records else 0
    for name, record in simulation.records.items():
        erase = record.operation
        theirs = isinstance(erase, Erase) and change.before.owner in (None, erase.user)
        if theirs and record.start <= change.tick and (not record.ended or first <= record.end):
            return name
    return None


def steps(change: Change) -> list[Change]:
    """Split a change into turns: one write may add the turns of several clients of a replica."""
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
    """The operation that made a change: the one that wrote it, or a waiting append in the same batch."""
    writer = simulation.records[step.by]
    if writer.operation.may(step.before, step.after):
        return step.by
    if not isinstance(writer.operation, Append):
        return None
    for name, record in simulation.records.items():
        under_way = record.start <= step.tick and (not record.ended or step.tick <= record.end)
        with_it = isinstance(record.operation, Append) and record.operation.session == writer.operation.session
        if under_way and with_it and record.operation.may(step.before, step.after):
            return name
    return None


def agrees(record: Record, states: Sequence[View]) -> bool:
    if record.error is None:
        return record.operation.agrees(record.result, states)
    if isinstance(record.error, HistoryDamaged):
        return False
    return record.error.status == 503 or any(record.operation.refusal_agrees(record.error, state) for state in states)
