"""Clients interleaved one call at a time, with each other and with every fault, drawn by hypothesis.

Each test runs on both kinds of store: an etag on a missing key is written, or refused.

`pytest --hypothesis-profile=long` draws eighty times as many.
"""

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from tests.fake_clients import FOR_READS, FOR_WRITES, Fault, is_write
from tests.read_workload import Read, ReadBack, Recollect
from tests.simulation import Simulation
from tests.store_checks import check_store
from tests.store_kinds import StoreKind
from tests.user_workload import ChangeGoal, Erase, Forget, ListByActivity, Listed, ListSessions, Remember
from tests.verdict import judge
from tests.workload import Append, Delete, Operation, Replace, Summarize

pytestmark = pytest.mark.usefixtures("tiny_pages")

SESSIONS = st.sampled_from("sst")
USERS = st.sampled_from("uuuv")
TURNS = st.sampled_from("pqr")  # few, so that turns are repeated by other clients
FACTS = st.sampled_from(["tea", "cats"])
APPENDS = st.builds(
    lambda session, turn, user, *reads: Append(session, turn, user, "pqr".index(turn) + 1, *reads),
    SESSIONS,
    TURNS,
    USERS,
    st.booleans(),
    st.sampled_from([False, False, True]),
)
OPERATIONS: st.SearchStrategy[Operation] = st.one_of(
    APPENDS,
    APPENDS,
    st.builds(Replace, SESSIONS, st.sampled_from("XYZ"), st.integers(0, 7)),
    st.builds(Delete, SESSIONS, st.none() | USERS),
    st.builds(Summarize, SESSIONS, st.sampled_from(["S1", "S2", "S3"]), st.integers(0, 2)),
    st.builds(Read, SESSIONS, st.sampled_from([None, 2, 5])),
    st.builds(ReadBack, SESSIONS),
    st.builds(Recollect, SESSIONS, USERS, st.booleans()),
    st.builds(Erase, SESSIONS, USERS),
    st.builds(ListSessions, SESSIONS, USERS),
    st.builds(ListByActivity, SESSIONS, USERS),
    st.builds(ChangeGoal, SESSIONS, USERS),
    st.builds(Remember, SESSIONS, FACTS, USERS, st.booleans()),
    st.builds(Forget, SESSIONS, FACTS, USERS),
)
LONG_SESSION = st.integers(0, 4).map(lambda turns: [Append("s", turn, size=2) for turn in "abcd"[:turns]])
LONG_LIST = st.integers(5, 7).map(lambda sessions: [Append(session, "a") for session in "zyxwvus"[:sessions]])
PAUSE_SECONDS = 5.0
"""Pause after the filling: the next turn of each session marks it as active."""
LISTINGS = (ListSessions, ListByActivity)
FILLING = st.one_of(LONG_SESSION, LONG_LIST)
PROGRAMS = st.lists(st.lists(OPERATIONS, min_size=1, max_size=3), min_size=2, max_size=4)
LET, BEGIN, FAULT, CRASH, LAND, TICK, PASS = "let", "begin", "fault", "crash", "land", "tick", "pass"
LATENESS = st.sampled_from([1.0, 20.0, 45 * 60.0])
"""Seconds after which a late write reaches the store: within those in which an ended epoch is swept again."""
MOVES = st.lists(st.tuples(st.sampled_from([LET] * 8 + [BEGIN, FAULT, LAND]), st.integers(0, 40)), max_size=80)
ORDERS = st.lists(st.tuples(st.sampled_from([LET] * 8 + [BEGIN]), st.integers(0, 40)), max_size=80)
ROUGH_MOVES = st.lists(
    st.tuples(st.sampled_from([LET] * 12 + [FAULT] * 2 + [BEGIN, CRASH, LAND, TICK, PASS]), st.integers(0, 40)),
    max_size=80,
)


def play(simulation: Simulation, moves: list[tuple[str, int]]) -> None:
    """Carry out the moves that are possible. Time passes if nothing else can happen."""
    for move, number in moves:
        if move == CRASH:
            simulation.crash(number)
        elif move == LAND and simulation.schedule.late:
            simulation.land(number)
        elif move == PASS:
            simulation.start_pass(number)
        elif move == TICK or not simulation.schedule.parked:
            simulation.tick()
        elif move == BEGIN:
            simulation.begin(number)
        else:
            fault = chosen_fault(simulation, number) if move == FAULT else Fault.NONE
            simulation.let(number, fault)
    simulation.finish()


def chosen_fault(simulation: Simulation, number: int) -> Fault:
    parked = simulation.schedule.parked
    faults = FOR_WRITES if is_write(parked[number % len(parked)].request) else FOR_READS
    return faults[number % len(faults)]


def run(
    kind: StoreKind,
    filling: list[Append],
    programs: list[list[Operation]],
    moves: list[tuple[str, int]],
    lateness: float = 1.0,
) -> None:
    """Play the moves, then let nobody ask for anything: the due list alone must clean the store."""
    simulation = Simulation(programs, filling, kind=kind, lands_within_seconds=lateness, pause_seconds=PAUSE_SECONDS)
    try:
        play(simulation, moves)
        judge(simulation)
        if not simulation.schedule.troubles:
            check_store(simulation.dapr, simulation.page)
            assert all(record.error is None or record.error.status != 503 for record in simulation.records.values())
        simulation.finish_what_is_due()
        watched = simulation.observer.sessions[0]
        for user in "uv":
            by_age, by_activity = [simulation.request(listing(watched, user)).result for listing in LISTINGS]
            assert isinstance(by_age, Listed)
            assert isinstance(by_activity, Listed)
            assert sorted(by_age.found) == sorted(by_activity.found), f"{user}: {by_age} {by_activity}"
            assert by_age.damaged == by_activity.damaged == []
        judge(simulation)
        simulation.finish_what_is_due()  # a list that was read may have been written anew, without its dead entries
        late = simulation.schedule.late_ttl_keys
        check_store(simulation.dapr, simulation.page, nothing_is_due=True, late_ttl_keys=late)
    finally:
        note("\n".join([*map(str, programs), *simulation.schedule.trace]))
        simulation.close()


@given(filling=FILLING, programs=PROGRAMS, moves=MOVES)
def test_any_interleaving_with_lost_and_wrong_responses(
    kind: StoreKind, filling: list[Append], programs: list[list[Operation]], moves: list[tuple[str, int]]
) -> None:
    """In any order of calls, with any failed responses, each session is what its operations wrote."""
    run(kind, filling, programs, moves)


@given(filling=FILLING, programs=PROGRAMS, moves=ROUGH_MOVES, lateness=LATENESS)
def test_any_interleaving_with_crashes_and_late_writes(
    kind: StoreKind,
    filling: list[Append],
    programs: list[list[Operation]],
    moves: list[tuple[str, int]],
    lateness: float,
) -> None:
    """The same if processes die, deadlines pass, and writes reach the store after their clients gave up."""
    run(kind, filling, programs, moves, lateness)


@given(filling=FILLING, programs=PROGRAMS, moves=ORDERS)
def test_any_interleaving_without_faults(
    kind: StoreKind, filling: list[Append], programs: list[list[Operation]], moves: list[tuple[str, int]]
) -> None:
    """Without faults no operation gets a 503, and the store is clean without further requests."""
    run(kind, filling, programs, moves)
