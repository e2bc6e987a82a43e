"""Replies that could not be saved. A repeated request saves its reply; the model is not asked again."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from errors import IdempotencyKeyReused
from turn.completed_turn import CompletedTurn
from turn.recall import MemorySnapshot
from turn.request import TurnRequest

KEPT_SECONDS = 600.0
"""How long such a reply is kept, in seconds. A person notices that it was not saved, and tries again within minutes."""
MAX_KEPT = 100
"""Number of such replies kept. The longest message and reply take about half a megabyte together."""


@dataclass(frozen=True)
class _Unsaved:
    turn: CompletedTurn
    until: float


class UnsavedReplies:
    """The newest replies of this process that memory did not take. The oldest is forgotten when there are too many."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_turn: OrderedDict[str, _Unsaved] = OrderedDict()

    def keep(self, turn: CompletedTurn) -> None:
        """Keep the turn's reply, without what memory held before it."""
        self._drop_old()
        kept = replace(turn, memory=MemorySnapshot(None, None, turn.memory.state))
        self._by_turn[turn.request.turn_id] = _Unsaved(kept, self._clock() + KEPT_SECONDS)
        self._by_turn.move_to_end(turn.request.turn_id)
        if len(self._by_turn) > MAX_KEPT:
            self._by_turn.popitem(last=False)

    def forget(self, turn_id: str) -> None:
        """Forget the turn's reply: it is saved, or can never be."""
        self._by_turn.pop(turn_id, None)

    @contextmanager
    def dropped(self, user_id: str, session_id: str | None = None) -> Iterator[None]:
        """Forget the user's replies, of one session or of all: what is erased must not be saved later.

        They are forgotten before the erase, and again after it: a save may fail while it runs.
        """
        self._drop(user_id, session_id)
        try:
            yield
        finally:
            self._drop(user_id, session_id)

    def turn_of(self, request: TurnRequest, memory: MemorySnapshot) -> CompletedTurn | None:
        """The turn of a repeated request, ready to be saved; None if its reply is not kept.

        Raises IdempotencyKeyReused if the reply is to another text.
        """
        self._drop_old()
        unsaved = self._by_turn.get(request.turn_id)
        if unsaved is None:
            return None
        if unsaved.turn.request.text != request.text:
            raise IdempotencyKeyReused
        return replace(unsaved.turn, request=request, memory=memory)

    def _drop(self, user_id: str, session_id: str | None) -> None:
        for turn_id, unsaved in list(self._by_turn.items()):
            request = unsaved.turn.request
            if request.user_id == user_id and session_id in (None, request.session_id):
                self.forget(turn_id)

    def _drop_old(self) -> None:
        now = self._clock()
        while self._by_turn and next(iter(self._by_turn.values())).until <= now:
            self._by_turn.popitem(last=False)
