"""What a turn needs of memory: the user's profile with the facts, and the session's newest messages, in one read."""

from dataclasses import dataclass

from conversations import Conversations
from dapr_state import DaprState, ValueUnreadable
from documents import Document
from keys import list_key, session_key, user_key
from log.log_reader import Slice
from user_sessions import UserSessions


@dataclass(frozen=True, slots=True)
class Recalled:
    """The stored profile, empty if there is none, and the part of the session, None if there is no session."""

    profile: Document
    part: Slice | None


class Recall:
    """Reads for turns."""

    def __init__(self, state: DaprState, conversations: Conversations, sessions: UserSessions) -> None:
        self._state = state
        self._conversations = conversations
        self._sessions = sessions

    async def read(
        self, user_id: str, session_id: str, count: int, turn_id: str | None = None, *, owner_required: bool = False
    ) -> Recalled:
        """Read both by one call to the store, and the recorded turn `turn_id`, if the head knows it, with them.

        Raises NotOwner, SessionDeleted, HistoryDamaged, StoreConflict and StoreUnavailable.
        """
        (profile, head), size_bytes = await self._state.get_together([user_key(user_id), session_key(session_id)])
        part = await self._conversations.recall(
            session_id, user_id, head, size_bytes, count, turn_id, owner_required=owner_required
        )
        return Recalled(profile.value if profile else {}, part)

    async def read_new(self, user_id: str, session_id: str) -> Document:
        """Read the profile, and with it what the first append to this new session needs.

        Raises StoreUnavailable.
        """
        try:
            (profile, listed), size_bytes = await self._state.get_together([user_key(user_id), list_key(user_id)])
        except ValueUnreadable:
            profile = await self._state.get(user_key(user_id))
        else:
            self._sessions.keep(user_id, listed, size_bytes)
            self._conversations.expect_new(session_id)
        return profile.value if profile else {}
