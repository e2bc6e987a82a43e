"""Saves a turn with one append. The append is retried: with the same turn id it has an effect only once."""

import asyncio
import random
from dataclasses import dataclass

from errors import MemoryFailure, MemoryRejection
from lifecycle import BackgroundTasks
from memory_client import MemoryClient
from memory_models import AppendedTurn
from models import HistoryState
from turn.completed_turn import CompletedTurn

FIRST_PAUSE_SECONDS = 0.1
"""Pause in seconds before the first retry; it doubles for each further retry. Short, because a user is waiting."""
LONGEST_PAUSE_SECONDS = 2.0
"""Longest pause between two attempts, in seconds. A store that is back is used within that time."""


@dataclass(frozen=True)
class SaveOutcome:
    """Whether the turn is in the history."""

    history: HistoryState
    code: str | None = None
    """Why the turn was not saved."""
    is_rejected: bool = False
    """The memory service rejected the turn (4xx); do not retry."""
    recorded: AppendedTurn | None = None
    """The turn as the memory service holds it, if its response contained it."""


class TurnSaver:
    """Appends turns through the memory client."""

    def __init__(self, memory: MemoryClient, background: BackgroundTasks) -> None:
        self._memory = memory
        self._background = background

    async def save(self, turn: CompletedTurn, limit_seconds: float) -> SaveOutcome:
        """Append the turn and retry for `limit_seconds`. Once the service stops there is one last attempt."""
        code = MemoryFailure().code
        pause = FIRST_PAUSE_SECONDS
        try:
            async with asyncio.timeout(limit_seconds):
                while True:
                    is_last = self._background.is_stopping
                    try:
                        return SaveOutcome("saved", recorded=await self._append(turn))
                    except MemoryRejection as rejection:
                        return SaveOutcome("not_saved", rejection.code, is_rejected=True)
                    except MemoryFailure as failure:
                        code = failure.code
                    if is_last:
                        break
                    await self._background.pause(pause * random.uniform(0.5, 1.0))
                    pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        except TimeoutError:
            pass
        return SaveOutcome("not_saved", code)

    async def _append(self, turn: CompletedTurn) -> AppendedTurn | None:
        request = turn.request
        return await self._memory.append(request.session_id, request.user_id, request.turn_id, turn.entries)
