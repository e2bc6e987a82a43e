"""What memory gives a turn before the model is asked: the profile and the session's newest messages, read together."""

import asyncio
from dataclasses import dataclass

from agent.context import WINDOW_MESSAGES
from errors import MemoryFailure, MemoryRefusal, not_owner, session_deleted
from memory_client import MemoryClient
from models import Conversation, MemoryState, Profile, RecordedTurn, TurnRequest


@dataclass(frozen=True)
class Recalled:
    """What memory gave; None for what it could not give, and no conversation for a session just made up."""

    profile: Profile | None
    conversation: Conversation | None
    state: MemoryState

    @property
    def recorded(self) -> RecordedTurn | None:
        """This very turn, if it was saved before."""
        return self.conversation.turn if self.conversation else None


async def recall(memory: MemoryClient, request: TurnRequest) -> Recalled:
    """Both reads at once. Raises ServiceError where the session is another user's (403) or deleted (410)."""
    if request.is_new_session:
        profile = await _profile(memory, request.user_id)
        return Recalled(profile, None, "ok" if profile else "unavailable")
    profile, conversation = await asyncio.gather(_profile(memory, request.user_id), _conversation(memory, request))
    return Recalled(profile, conversation, "ok" if profile and conversation else "unavailable")


async def _profile(memory: MemoryClient, user_id: str) -> Profile | None:
    try:
        return await memory.profile(user_id)
    except MemoryFailure:
        return None


async def _conversation(memory: MemoryClient, request: TurnRequest) -> Conversation | None:
    turn_id = request.turn_id if request.is_repeatable else None
    try:
        return await memory.recent(request.session_id, request.user_id, WINDOW_MESSAGES, turn_id)
    except MemoryRefusal as refusal:
        if refusal.status == 403:
            raise not_owner() from refusal
        if refusal.status == 410:
            raise session_deleted() from refusal
        return None
    except MemoryFailure:
        return None
