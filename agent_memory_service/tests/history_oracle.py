"""The state of every session after each write, decoded from the store without the service's code.

The order of the heads' writes is the order of the operations. So a run is right if each change of a head is one that
its operation may make, and each result agrees with a state that existed while its operation ran.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.fake_dapr import Commit, FakeDapr
from tests.fake_wire import JSON

Line = tuple[str, str | None]
"""A message as the oracle sees it: its content and the turn it came with."""


@dataclass(frozen=True)
class View:
    """The state of one session by its head and pages. `epoch` is None if it is absent. A tombstone has no lines."""

    epoch: str | None = None
    deleted: bool = False
    owner: str | None = None
    lines: tuple[Line, ...] = ()
    summary: tuple[str, int] | None = None
    sealed: int = 0

    @property
    def live(self) -> bool:
        return self.epoch is not None and not self.deleted

    @property
    def turns(self) -> list[str]:
        """The ids of the turns in order, one for each run of lines with the same id."""
        named = [turn for _, turn in self.lines if turn is not None]
        return [turn for at, turn in enumerate(named) if at == 0 or named[at - 1] != turn]


@dataclass(frozen=True)
class Change:
    """A session before and after one write, with the operation that wrote and the tick of the run."""

    tick: int
    by: str
    before: View
    after: View


def lines_of(document: JSON) -> list[Line]:
    assert isinstance(document, dict), f"no page: {document}"
    history = document["history"]
    assert isinstance(history, list)
    return [line_of(entry) for entry in history]


def line_of(entry: JSON) -> Line:
    assert isinstance(entry, dict)
    turn = entry.get("turn_id")
    return str(entry["content"]), None if turn is None else str(turn)


def view(value: Callable[[str], JSON], session: str, page: int) -> View:
    """Decode a session: its head and every page that the head names. `value` reads a key."""
    key = f"session:{session}"
    head = value(key)
    if head is None:
        return View()
    assert isinstance(head, dict)
    epoch, sealed = str(head.get("epoch", "0")), int(str(head.get("sealed", 0)))
    if head.get("deleted"):
        assert not head.get("history"), f"a tombstone with content: {head}"
        return View(epoch, deleted=True)
    pages = [lines_of(value(f"{key}:{epoch}:{number}")) for number in range(sealed // page)]
    assert all(len(lines) == page for lines in pages)
    owner, summary = head.get("owner"), head.get("summary")
    return View(
        epoch,
        owner=None if owner is None else str(owner),
        lines=(*(line for lines in pages for line in lines), *lines_of(head)),
        summary=(str(summary["text"]), int(str(summary["through"]))) if isinstance(summary, dict) else None,
        sealed=sealed,
    )


Texts = tuple[str, ...]
"""The texts of a user's facts, oldest first."""


@dataclass(frozen=True)
class FactsChange:
    """The facts of a user before and after one write, with the operation that wrote and the tick of the run."""

    tick: int
    by: str
    before: Texts
    after: Texts


def texts_of(profile: JSON) -> Texts:
    """Decode the facts in the document of a profile."""
    facts = profile.get("facts", []) if isinstance(profile, dict) else []
    assert isinstance(facts, list)
    return tuple(str(fact["text"]) for fact in facts if isinstance(fact, dict))


class Observer:
    """Records the changes of each session and of each user's facts in order, and who made them."""

    def __init__(self, dapr: FakeDapr, sessions: Sequence[str], page: int) -> None:
        self.dapr, self.sessions, self.page = dapr, sessions, page
        self.tick = 0
        self.changes: dict[str, list[Change]] = {session: [] for session in sessions}
        self.now: dict[str, View] = dict.fromkeys(sessions, View())
        self.facts: defaultdict[str, list[FactsChange]] = defaultdict(list)
        self.commits: list[Commit] = []
        dapr.on_commit.append(self.see)

    def see(self, commit: Commit) -> None:
        """Decode the session that a write is about. A write that changes nothing is not recorded."""
        self.commits.append(commit)
        kind, _, name = commit.key.partition(":")
        if kind == "user":
            self.tick += 1
            before = self.facts[name][-1].after if self.facts[name] else ()
            texts = texts_of(self.dapr.value(commit.key))
            self.facts[name].append(FactsChange(self.tick, commit.by, before, texts))
        session = name.partition(":")[0]
        if kind != "session" or session not in self.changes:
            return
        self.tick += 1
        after = view(self.dapr.value, session, self.page)
        if after != self.now[session]:
            self.changes[session].append(Change(self.tick, commit.by, self.now[session], after))
            self.now[session] = after

    def facts_during(self, user: str, start: int, end: int) -> list[Texts]:
        """The facts that a user had at some time between two ticks."""
        states: list[Texts] = [()]
        for change in self.facts[user]:
            if change.tick > end:
                break
            states = [change.after] if change.tick <= start else [*states, change.after]
        return states

    def during(self, session: str, start: int, end: int) -> list[View]:
        """The states that existed at some time between two ticks."""
        states = [View()]
        for change in self.changes[session]:
            if change.tick > end:
                break
            states = [change.after] if change.tick <= start else [*states, change.after]
        return states
