"""Saving a turn: appended once, whole; retried, because an append with the same turn id is the same append."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from errors import MemoryFailure, MemoryRefusal
from lifecycle import Background
from memory_client import MemoryClient
from models import AppendedTurn, ConversationEntry, HistoryState, TurnRequest

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0


@dataclass(frozen=True)
class SaveOutcome:
    """Whether the turn is in the history; `code` says why not; `recorded` what the memory service holds, if told."""

    history: HistoryState
    code: str | None = None
    is_refused: bool = False
    """Memory works and will not have this turn."""
    recorded: AppendedTurn | None = None


class TurnSaver:
    """Appends turns through the memory client."""

    def __init__(self, memory: MemoryClient, background: Background) -> None:
        self._memory = memory
        self._background = background

    async def save(
        self, request: TurnRequest, entries: Sequence[ConversationEntry], limit_seconds: float
    ) -> SaveOutcome:
        """Append the turn, trying again for `limit_seconds`; once the service stops, one more time."""
        code = MemoryFailure().code
        pause = FIRST_PAUSE_SECONDS
        try:
            async with asyncio.timeout(limit_seconds):
                while True:
                    is_last = self._background.is_stopping
                    try:
                        recorded = await self._memory.append(
                            request.session_id, request.user_id, request.turn_id, entries
                        )
                    except MemoryRefusal as refusal:
                        return SaveOutcome("not_saved", refusal.code, is_refused=True)
                    except MemoryFailure as failure:
                        code = failure.code
                    else:
                        return SaveOutcome("saved", recorded=recorded)
                    if is_last:
                        break
                    await self._background.pause(pause * random.uniform(0.5, 1.0))
                    pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        except TimeoutError:
            pass
        return SaveOutcome("not_saved", code)
