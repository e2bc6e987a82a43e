"""Exporting everything that is stored of a user."""

from collections.abc import Sequence
from dataclasses import dataclass

from conversations import Conversations
from cursor import Cursor
from documents import Document
from errors import SessionDeleted
from log.log_reader import Slice
from models import MAX_LISTED_SESSIONS
from profiles import Profiles
from user_sessions import SessionsPart, UserSessions


@dataclass(frozen=True, slots=True)
class UserData:
    """Everything that is stored of a user: the profile (empty if there is none), and each session with its id."""

    user_id: str
    profile: Document
    sessions: Sequence[tuple[str, Slice]]


class Exporter:
    """Exports users."""

    def __init__(self, profiles: Profiles, sessions: UserSessions, conversations: Conversations) -> None:
        self._profiles = profiles
        self._sessions = sessions
        self._conversations = conversations

    async def export(self, user_id: str) -> UserData:
        """Read everything that is stored of a user, the newest session first. Sessions deleted meanwhile are left out.

        Raises HistoryDamaged, StoreConflict and StoreUnavailable.
        """
        profile = await self._profiles.get(user_id)
        sessions: list[tuple[str, Slice]] = []
        part = await self._sessions.part(user_id, None, MAX_LISTED_SESSIONS)
        while part is not None:
            sessions += await self._histories(user_id, part)
            if part.before is None:
                break
            # Without an epoch: the export goes on if the user is erased and comes back meanwhile.
            part = await self._sessions.part(user_id, Cursor(part.before), MAX_LISTED_SESSIONS)
        return UserData(user_id, profile, sessions)

    async def _histories(self, user_id: str, part: SessionsPart) -> list[tuple[str, Slice]]:
        histories: list[tuple[str, Slice]] = []
        for session in part.sessions:
            try:
                history = await self._conversations.read_whole(session.session_id, user_id)
            except SessionDeleted:
                continue
            if history is not None:
                histories.append((session.session_id, history))
        return histories
