"""Reads of one session. A result is right if it is one state that existed while the read ran."""

from collections.abc import Sequence
from dataclasses import dataclass

from cursor import Cursor
from errors import NotOwner, ServiceError, StaleCursor
from log.log_reader import Slice, SliceStream
from memory import Memory
from recall import Recalled
from tests.history_oracle import View
from tests.workload import Common, lines_of_slice


@dataclass(frozen=True)
class Read(Common):
    """Read the whole history, or the newest `last` messages."""

    last: int | None = None

    async def run(self, memory: Memory) -> Slice | SliceStream | None:
        if self.last is None:
            return await memory.conversations.read_whole(self.session)
        return await memory.conversations.read_part(self.session, self.last)

    def agrees(self, result: object, states: Sequence[View]) -> bool:
        if result is None:
            return View() in states
        assert isinstance(result, Slice)
        return any(self._is_of(result, state) for state in states)

    def _is_of(self, part: Slice, state: View) -> bool:
        first = 0 if self.last is None else max(0, len(state.lines) - self.last)
        expected = (part.head.epoch, part.head.total, part.first, lines_of_slice(part))
        return state.live and expected == (state.epoch, len(state.lines), first, state.lines[first:])


@dataclass(frozen=True)
class Recollect(Common):
    """Read what a turn needs, without a turn. `is_new`: what the first turn of a session needs, also if it is none."""

    user: str = "u"
    is_new: bool = False

    async def run(self, memory: Memory) -> object:
        if self.is_new:
            return await memory.recall.read_new(self.user, self.session)
        return await memory.recall.read(self.user, self.session, 2)

    def agrees(self, result: object, states: Sequence[View]) -> bool:
        if not isinstance(result, Recalled):
            return True
        if result.part is None:
            return View() in states
        return any(state.live and state.lines[result.part.first :] == lines_of_slice(result.part) for state in states)

    def refusal_agrees(self, error: ServiceError, state: View) -> bool:
        stranger = isinstance(error, NotOwner) and state.live and state.owner not in (None, self.user)
        return stranger or super().refusal_agrees(error, state)


@dataclass(frozen=True)
class ReadBack(Common):
    """Read the newest two messages, then by a cursor the three before them."""

    async def run(self, memory: Memory) -> tuple[Slice, Slice] | None:
        newest = await memory.conversations.read_part(self.session, 2)
        if newest is None:
            return None
        assert isinstance(newest, Slice)
        older = await memory.conversations.read_part(self.session, 3, Cursor(newest.first, newest.head.epoch))
        return (newest, older) if isinstance(older, Slice) else None

    def agrees(self, result: object, states: Sequence[View]) -> bool:
        if result is None:
            return View() in states
        assert isinstance(result, tuple)
        newest, older = result
        expected = (*lines_of_slice(older), *lines_of_slice(newest))
        end = newest.first + len(newest.entries)
        return any(state.lines[max(0, newest.first - 3) : end] == expected for state in states)

    def refusal_agrees(self, error: ServiceError, state: View) -> bool:
        return isinstance(error, StaleCursor) or super().refusal_agrees(error, state)
