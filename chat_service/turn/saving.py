"""Saves a turn with one append. The append is retried: with the same turn id it has an effect only once."""

import asyncio
import random
from dataclasses import dataclass

from pydantic_core import to_json

from errors import MemoryFailure, MemoryRejection
from lifecycle import BackgroundTasks
from memory_client import MemoryClient
from memory_models import AppendedTurn, ConversationEntry
from models import HistoryState
from turn.completed_turn import CompletedTurn

FIRST_PAUSE_SECONDS = 0.1
"""Pause in seconds before the first retry; it doubles for each further retry. Short, because a user is waiting."""
LONGEST_PAUSE_SECONDS = 2.0
"""Longest pause between two attempts, in seconds. A store that is back is used within that time."""
MAX_ENTRY_BYTES = 120_000
"""Longest JSON of one message that the memory service keeps, in bytes. The longest text of a user takes 96 KB."""
REPLY_TOO_LONG = "reply_too_long"
"""The code of a reply that the memory service does not keep, because it is longer than MAX_ENTRY_BYTES."""


@dataclass(frozen=True)
class SaveOutcome:
    """Whether the turn is in the history."""

    history: HistoryState
    code: str | None = None
    """Why the turn was not saved, or why it is unknown."""
    is_rejected: bool = False
    """The turn cannot be kept, although memory works; do not retry."""
    recorded: AppendedTurn | None = None
    """The turn as the memory service holds it, if its response contained it."""


class TurnSaver:
    """Appends turns through the memory client."""

    def __init__(self, memory: MemoryClient, background: BackgroundTasks) -> None:
        self._memory = memory
        self._background = background

    async def save(self, turn: CompletedTurn, limit_seconds: float) -> SaveOutcome:
        """Append the turn and retry for `limit_seconds`. Once the service stops there is one last attempt."""
        if any(_is_too_long(entry) for entry in turn.entries):
            return SaveOutcome("not_saved", REPLY_TOO_LONG, is_rejected=True)
        attempts = _Attempts(self._memory, turn)
        pause = FIRST_PAUSE_SECONDS
        try:
            async with asyncio.timeout(limit_seconds):
                while True:
                    is_last = self._background.is_stopping
                    outcome = await attempts.make()
                    if outcome is not None:
                        return outcome
                    if is_last:
                        break
                    await self._background.pause(pause * random.uniform(0.5, 1.0))
                    pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        except TimeoutError:
            pass
        return attempts.failed()


class _Attempts:
    """The attempts to append one turn. Remembers whether one of them may have been executed."""

    def __init__(self, memory: MemoryClient, turn: CompletedTurn) -> None:
        self._memory = memory
        self._turn = turn
        self._code = MemoryFailure().code
        self._may_be_saved = False

    async def make(self) -> SaveOutcome | None:
        """Make one attempt. None if it failed and a retry can help."""
        request = self._turn.request
        may_have_been_saved, self._may_be_saved = self._may_be_saved, True  # until this attempt has its response
        try:
            recorded = await self._memory.append(
                request.session_id, request.user_id, request.turn_id, self._turn.entries
            )
        except MemoryRejection as rejection:
            if may_have_been_saved:
                return SaveOutcome("unknown", rejection.code)
            return SaveOutcome("not_saved", rejection.code, is_rejected=True)
        except MemoryFailure as failure:
            self._code = failure.code
            self._may_be_saved = may_have_been_saved or not failure.had_no_effect
            return None
        return SaveOutcome("saved", recorded=recorded)

    def failed(self) -> SaveOutcome:
        """The outcome if there is no further attempt."""
        return SaveOutcome("unknown" if self._may_be_saved else "not_saved", self._code)


def _is_too_long(entry: ConversationEntry) -> bool:
    """Whether the memory service refuses the entry. It measures the same three fields as JSON in UTF-8."""
    return len(to_json(entry, exclude={"turn_id", "stopped"})) > MAX_ENTRY_BYTES
