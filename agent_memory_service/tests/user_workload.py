"""Operations on everything that is stored of a user. workload.py has those on one session."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cursor import Cursor
from documents import Document
from errors import NotOwner, ServiceError, SessionDeleted
from memory import Memory
from tests.history_oracle import Texts, View
from user_sessions import Order, SessionsPart


@dataclass(frozen=True)
class OnFacts:
    """The defaults of operations on a user's facts: they write to no session."""

    session: str
    text: str = "tea"
    user: str = "u"

    def may(self, before: View, after: View) -> bool:
        return False

    def agrees(self, result: object, states: Sequence[View]) -> bool:
        return True

    def refusal_agrees(self, error: ServiceError, state: View) -> bool:
        return False


@dataclass(frozen=True)
class Remember(OnFacts):
    """Store a fact. With `of_session` it names the session it came in, and is refused once that is deleted."""

    of_session: bool = False

    async def run(self, memory: Memory) -> tuple[Document, bool]:
        return await memory.facts.remember(self.user, self.text, self.session if self.of_session else None)

    def refusal_agrees(self, error: ServiceError, state: View) -> bool:
        strange = isinstance(error, NotOwner) and state.live and state.owner not in (None, self.user)
        return self.of_session and (strange or (isinstance(error, SessionDeleted) and state.deleted))

    def may_change_facts(self, before: Texts, after: Texts) -> bool:
        return after == (*before, self.text)

    def facts_agree(self, states: Sequence[Texts]) -> bool:
        return any(self.text in texts for texts in states)


@dataclass(frozen=True)
class Forget(OnFacts):
    """Remove the fact with a text, if it is there when the operation begins."""

    async def run(self, memory: Memory) -> None:
        for fact in await memory.facts.all(self.user):
            if fact["text"] == self.text:
                await memory.facts.forget(self.user, str(fact["fact_id"]))

    def may_change_facts(self, before: Texts, after: Texts) -> bool:
        return self.text in before and after == tuple(text for text in before if text != self.text)

    def facts_agree(self, states: Sequence[Texts]) -> bool:
        return any(self.text not in texts for texts in states)


@dataclass(frozen=True)
class Erase:
    """Erase a user. `session` is one that the run observes."""

    session: str
    user: str = "u"

    async def run(self, memory: Memory) -> None:
        await memory.erasure.erase(self.user)

    def may(self, before: View, after: View) -> bool:
        """It erases the user's own sessions only, and writes a tombstone if there is no session yet.

        A session without an owner is written again, which may seal entries.
        """
        if is_written_again(before, after):
            return True
        return after.deleted and (before.epoch is None or (before.live and before.owner == self.user))

    def agrees(self, result: object, states: Sequence[View]) -> bool:
        """A session that was the user's before the erase is gone."""
        return any(not state.live or state.owner != self.user for state in states)

    def may_change_facts(self, before: Texts, after: Texts) -> bool:
        return after == ()

    def facts_agree(self, states: Sequence[Texts]) -> bool:
        return () in states

    def refusal_agrees(self, error: ServiceError, state: View) -> bool:
        return False


def is_written_again(before: View, after: View) -> bool:
    """Whether a session without an owner was written without a change of what it holds."""
    return before.live and before.owner is None and replace(after, sealed=before.sealed) == before


@dataclass(frozen=True)
class DuePass:
    """A pass of a replica's worker over the due list. It may finish an erase; the verdict looks for that erase."""

    session: str

    async def run(self, memory: Memory) -> None:
        await memory.due_worker.run_pass()

    def may(self, before: View, after: View) -> bool:
        return is_written_again(before, after) or (after.deleted and (before.epoch is None or before.live))

    def agrees(self, result: object, states: Sequence[View]) -> bool:
        return True

    def refusal_agrees(self, error: ServiceError, state: View) -> bool:
        return False


@dataclass
class Listed:
    """The ids of the sessions in a list, and of those that cannot be read. Two failed reads look like damage."""

    found: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    def add(self, part: SessionsPart | None) -> None:
        """Add a part of the list."""
        if part is not None:
            self.found += [item.session_id for item in part.sessions]
            self.damaged += part.damaged


@dataclass(frozen=True)
class ListSessions:
    """List a user's sessions."""

    session: str
    user: str = "u"

    async def run(self, memory: Memory) -> Listed:
        listed = Listed()
        part = await memory.sessions.part(self.user, None, 3)
        listed.add(part)
        while part is not None and part.before is not None:
            part = await memory.sessions.part(self.user, Cursor(part.before), 3)
            listed.add(part)
        return listed

    def may(self, before: View, after: View) -> bool:
        return False

    def agrees(self, result: object, states: Sequence[View]) -> bool:
        """No session is listed twice. A live one of the user is listed or named as damaged, any other is not listed."""
        assert isinstance(result, Listed)
        times = result.found.count(self.session)
        theirs = [state.live and state.owner == self.user for state in states]
        may_be_missing = not all(theirs) or self.session in result.damaged
        return (times == 0 and may_be_missing) or (times == 1 and any(theirs))

    def refusal_agrees(self, error: ServiceError, state: View) -> bool:
        return False


@dataclass(frozen=True)
class ListByActivity:
    """List a user's sessions by activity, all in one part."""

    session: str
    user: str = "u"

    async def run(self, memory: Memory) -> Listed:
        listed = Listed()
        listed.add(await memory.sessions.part(self.user, None, 100, Order.ACTIVITY))
        return listed

    def may(self, before: View, after: View) -> bool:
        return False

    def agrees(self, result: object, states: Sequence[View]) -> bool:
        """No session is listed twice, and none that is not the user's. One that is being marked may be missing."""
        assert isinstance(result, Listed)
        times = result.found.count(self.session)
        return times == 0 or (times == 1 and any(state.live and state.owner == self.user for state in states))

    def refusal_agrees(self, error: ServiceError, state: View) -> bool:
        return False


@dataclass(frozen=True)
class ChangeGoal:
    """PATCH a user's profile. It writes to no session."""

    session: str
    user: str = "u"
    goal: str = "learn"

    async def run(self, memory: Memory) -> Document:
        return await memory.profiles.change(self.user, {"goal": self.goal})

    def may(self, before: View, after: View) -> bool:
        return False

    def agrees(self, result: object, states: Sequence[View]) -> bool:
        return isinstance(result, dict) and result["goal"] == self.goal

    def refusal_agrees(self, error: ServiceError, state: View) -> bool:
        return False


@dataclass(frozen=True)
class Initialize:
    """Store a whole profile, as the tutorial's POST does. It writes to no session."""

    session: str
    user: str = "u"
    goal: str = "secret"

    async def run(self, memory: Memory) -> None:
        await memory.profiles.set(self.user, {"name": self.user, "preferred_style": "formal", "goal": self.goal})

    def may(self, before: View, after: View) -> bool:
        return False

    def agrees(self, result: object, states: Sequence[View]) -> bool:
        return True

    def refusal_agrees(self, error: ServiceError, state: View) -> bool:
        return False
