"""Reads what memory holds for a turn before the model runs: the profile and the session's newest messages."""

import logging
from dataclasses import dataclass

import trace_context
from agent.context import WINDOW_MESSAGES
from errors import MemoryFailure, MemoryRejection, NotOwner, ServiceError, SessionDeleted
from memory_client import MemoryClient
from memory_models import Conversation, Profile, RecordedTurn
from models import MemoryState
from turn.request import TurnRequest

_ENDING: dict[str, type[ServiceError]] = {error.code: error for error in (NotOwner, SessionDeleted)}
"""Rejections of a read that end the turn, by code: both services have the same codes."""

logger = logging.getLogger("chat_service.turn")


@dataclass(frozen=True)
class MemorySnapshot:
    """What memory held when the turn began.

    A field is None if the read failed. The conversation of a new session is empty, without a read.
    """

    profile: Profile | None
    conversation: Conversation | None
    state: MemoryState

    @property
    def recorded_turn(self) -> RecordedTurn | None:
        """This very turn, if it was saved before."""
        return self.conversation.turn if self.conversation else None


async def recall(memory: MemoryClient, request: TurnRequest) -> MemorySnapshot:
    """Read all of it by one call. Raises NotOwner or SessionDeleted; after any other failure the fields are None."""
    new = Conversation(history=[]) if request.is_new_session else None
    try:
        if new is not None:
            return MemorySnapshot(await memory.profile(request.user_id, request.session_id), new, "ok")
        turn_id = request.turn_id if request.is_repeatable else None
        recalled = await memory.recall(request.user_id, request.session_id, WINDOW_MESSAGES, turn_id)
        return MemorySnapshot(recalled.memories, recalled.conversation, "ok")
    except MemoryFailure as failure:
        if isinstance(failure, MemoryRejection) and failure.code in _ENDING:
            raise _ENDING[failure.code] from failure
        logger.warning("memory not read code=%s trace=%s", failure.code, trace_context.trace_id())
        return MemorySnapshot(None, new, "unavailable")
