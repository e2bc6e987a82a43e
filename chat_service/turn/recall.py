"""Reads what memory holds for a turn before the model runs: the profile and the session's newest messages."""

import asyncio
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

    A field is None if its read failed. The conversation of a new session is empty, without a read.
    """

    profile: Profile | None
    conversation: Conversation | None
    state: MemoryState

    @property
    def recorded_turn(self) -> RecordedTurn | None:
        """This very turn, if it was saved before."""
        return self.conversation.turn if self.conversation else None


async def recall(memory: MemoryClient, request: TurnRequest) -> MemorySnapshot:
    """Read both at the same time. Raises NotOwner or SessionDeleted; any other failure leaves a field None."""
    if request.is_new_session:
        profile = await _profile(memory, request.user_id)
        return MemorySnapshot(profile, Conversation(history=[]), "ok" if profile else "unavailable")
    profile, conversation = await asyncio.gather(_profile(memory, request.user_id), _conversation(memory, request))
    return MemorySnapshot(profile, conversation, "ok" if profile and conversation else "unavailable")


async def _profile(memory: MemoryClient, user_id: str) -> Profile | None:
    try:
        return await memory.profile(user_id)
    except MemoryFailure as failure:
        _log_failure("profile", failure)
        return None


async def _conversation(memory: MemoryClient, request: TurnRequest) -> Conversation | None:
    turn_id = request.turn_id if request.is_repeatable else None
    try:
        return await memory.recent(request.session_id, request.user_id, WINDOW_MESSAGES, turn_id)
    except MemoryRejection as rejection:
        if rejection.code in _ENDING:
            raise _ENDING[rejection.code] from rejection
        _log_failure("history", rejection)
        return None
    except MemoryFailure as failure:
        _log_failure("history", failure)
        return None


def _log_failure(read: str, failure: MemoryFailure) -> None:
    logger.warning("%s not read code=%s trace=%s", read, failure.code, trace_context.trace_id())
