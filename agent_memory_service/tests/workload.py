"""The operations of clients in simulations, each with the writes it may make and the results it may get.

A state is a `View`. An operation "may" change one state into another. Its result "agrees" with the states that existed
while it ran.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import httpx

from conversations import NO_SUMMARY
from errors import NotOwner, ServiceError, SessionDeleted, SessionUnknown, SummaryConflict
from log.log_reader import Slice
from log.paged_log import Appended
from memory import Memory
from models import NewTurn, NewTurnEntry, Summary, SummaryOffer
from settings import Settings
from store_traits import Creation, StoreTraits
from tests.history_oracle import Line, View
from tests.store_kinds import StoreKind

SETTINGS = Settings.model_construct()
WHEN = "2026-01-01T00:00:00+00:00"


def memory_over(sidecar: httpx.AsyncBaseTransport, kind: StoreKind) -> Memory:
    """The memory over a fake sidecar, assembled as in the service. It knows how the store behaves."""
    return Memory(SETTINGS, sidecar, traits_of(kind))


def traits_of(kind: StoreKind) -> StoreTraits:
    """What the service learns about a kind of store; test_store_probe checks that."""
    if kind.counts_writes:
        return StoreTraits(keeps_objects=not kind.encrypted)
    return StoreTraits(Creation.FIRST_WRITE, kind.exists_status, keeps_objects=not kind.encrypted)


class Operation(Protocol):
    """One request of a client."""

    @property
    def session(self) -> str: ...

    async def run(self, memory: Memory) -> object:
        """Run it. Raises ServiceError."""

    def may(self, before: View, after: View) -> bool:
        """Whether it may have made this change of its session."""

    def agrees(self, result: object, states: Sequence[View]) -> bool:
        """Whether it may have this result if these states existed while it ran."""

    def refusal_agrees(self, error: ServiceError, state: View) -> bool:
        """Whether it may be refused with this error in this state. A store that is down may refuse anything."""


def lines_of_slice(part: Slice) -> tuple[Line, ...]:
    return tuple((entry["content"], entry.get("turn_id")) for entry in part.entries)


@dataclass(frozen=True)
class Common:
    """The defaults of most operations: they write nothing, and a tombstone refuses them."""

    session: str

    def may(self, before: View, after: View) -> bool:
        return False

    def refusal_agrees(self, error: ServiceError, state: View) -> bool:
        return isinstance(error, SessionDeleted) and state.deleted


@dataclass(frozen=True)
class Append(Common):
    """A turn of a user. The same turn always has the same lines."""

    turn: str
    user: str = "u"
    size: int = 2
    recalled: bool = False
    """Read what a turn needs first, as the chat service does. The read may fail; the turn is appended all the same."""
    taken_for_new: bool = False
    """Read what the first turn of a new session needs instead, whether or not the session is new."""

    @property
    def lines(self) -> tuple[Line, ...]:
        return tuple((f"{self.turn}.{number}", self.turn) for number in range(self.size))

    async def run(self, memory: Memory) -> Appended:
        with suppress(ServiceError):
            if self.taken_for_new:
                await memory.recall.read_new(self.user, self.session)
            elif self.recalled:
                await memory.recall.read(self.user, self.session, 2)
        entries = [NewTurnEntry(role="user", content=content, timestamp=WHEN) for content, _ in self.lines]
        turn = NewTurn(turn_id=self.turn, user_id=self.user, entries=entries)
        return await memory.conversations.append(self.session, turn)

    def may(self, before: View, after: View) -> bool:
        if before.deleted or before.owner not in (None, self.user) or self.turn in before.turns:
            return False
        same_epoch = after.epoch == before.epoch or before.epoch is None
        expected = (self.user, before.summary, (*before.lines, *self.lines))
        return same_epoch and expected == (after.owner, after.summary, after.lines)

    def agrees(self, result: object, states: Sequence[View]) -> bool:
        assert isinstance(result, Appended)
        part = result.recorded
        end = part.first + len(self.lines)
        return lines_of_slice(part) == self.lines and any(
            state.lines[part.first : end] == self.lines
            and (state.epoch, len(state.lines)) == (part.head.epoch, part.head.total)
            for state in states
        )

    def refusal_agrees(self, error: ServiceError, state: View) -> bool:
        stranger = isinstance(error, NotOwner) and state.live and state.owner not in (None, self.user)
        return stranger or super().refusal_agrees(error, state)


@dataclass(frozen=True)
class Replace(Common):
    """Replace a whole history; `name` makes its lines unique."""

    name: str
    size: int = 5

    @property
    def lines(self) -> tuple[Line, ...]:
        return tuple((f"{self.name}.{number}", None) for number in range(self.size))

    async def run(self, memory: Memory) -> None:
        await memory.conversations.replace(
            self.session, [{"role": "user", "content": content, "timestamp": WHEN} for content, _ in self.lines]
        )

    def may(self, before: View, after: View) -> bool:
        fresh = after.epoch not in (None, before.epoch)
        return (
            not before.deleted
            and fresh
            and (after.lines, after.owner, after.summary)
            == (
                self.lines,
                before.owner,
                None,
            )
        )

    def agrees(self, result: object, states: Sequence[View]) -> bool:
        return any(state.lines[: self.size] == self.lines for state in states)


@dataclass(frozen=True)
class Delete(Common):
    """Delete a session as `user`, or without a user."""

    user: str | None = None

    async def run(self, memory: Memory) -> None:
        await memory.conversations.delete(self.session, self.user)

    def may(self, before: View, after: View) -> bool:
        if before.epoch is None:
            return after.deleted
        return before.live and after.deleted and self.user in (None, before.owner or self.user)

    def agrees(self, result: object, states: Sequence[View]) -> bool:
        return any(not state.live for state in states)

    def refusal_agrees(self, error: ServiceError, state: View) -> bool:
        return isinstance(error, NotOwner) and state.live and state.owner not in (None, self.user)


@dataclass(frozen=True)
class Summarize(Common):
    """Read the session, then send a summary of all messages except the newest `keep`, made from the stored one."""

    text: str
    keep: int = 1

    async def run(self, memory: Memory) -> tuple[str, int] | None:
        part = await memory.conversations.read_part(self.session, 2)
        if part is None:
            return None
        through = max(0, part.head.total - self.keep)
        await memory.conversations.summarize(
            self.session,
            SummaryOffer(
                text=self.text,
                through=through,
                epoch=part.head.epoch,
                previous=Summary.model_validate(part.head.fields.get("summary") or NO_SUMMARY),
            ),
        )
        return part.head.epoch, through

    def may(self, before: View, after: View) -> bool:
        if not before.live or after.summary is None or after.summary[0] != self.text:
            return False
        forward = before.summary is None or before.summary[1] <= after.summary[1] <= len(before.lines)
        kept = (before.epoch, before.owner, before.lines) == (after.epoch, after.owner, after.lines)
        return forward and kept

    def agrees(self, result: object, states: Sequence[View]) -> bool:
        if result is None:
            return View() in states
        assert isinstance(result, tuple)
        epoch, through = result
        return any((state.epoch, state.summary) == (epoch, (self.text, through)) for state in states)

    def refusal_agrees(self, error: ServiceError, state: View) -> bool:
        absent = isinstance(error, SessionUnknown) and state.epoch is None
        return absent or isinstance(error, SummaryConflict) or super().refusal_agrees(error, state)
