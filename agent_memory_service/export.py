"""Exporting everything that is stored of a user."""

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from conversations import Conversations
from cursor import Cursor
from dapr_state import ValueUnreadable
from documents import Document, Entry
from errors import HistoryDamaged, NotOwner, SessionDeleted
from log.log_reader import Slice, SliceStream
from log.page_plan import Head
from models import MAX_LISTED_SESSIONS
from profiles import Profiles
from user_sessions import SessionsPart, UserSessions

logger = logging.getLogger("agent_memory_service.export")


@dataclass(frozen=True, slots=True)
class SessionData:
    """One session. Its entries are read while they are used."""

    session_id: str
    head: Head
    parts: AsyncGenerator[Sequence[Entry], None]


@dataclass(frozen=True, slots=True)
class UserData:
    """Everything that is stored of a user: the profile (empty if there is none), and the sessions, the newest first.

    Sessions are read while they are used. After that `damaged` has the ids of those that could not be read whole.
    """

    user_id: str
    profile: Document
    sessions: AsyncGenerator[SessionData, None]
    damaged: list[str]


class Exporter:
    """Exports users."""

    def __init__(self, profiles: Profiles, sessions: UserSessions, conversations: Conversations) -> None:
        self._profiles = profiles
        self._sessions = sessions
        self._conversations = conversations

    async def export(self, user_id: str) -> UserData:
        """Read everything that is stored of a user. Sessions deleted meanwhile are left out.

        Raises HistoryDamaged if the list itself is damaged, StoreConflict and StoreUnavailable. The last two may also
        be raised while the sessions are used.
        """
        profile = await self._profiles.get(user_id)
        newest = await self._sessions.part(user_id, None, MAX_LISTED_SESSIONS)
        damaged: list[str] = []
        return UserData(user_id, profile, self._read(user_id, newest, damaged), damaged)

    async def _read(
        self, user_id: str, part: SessionsPart | None, damaged: list[str]
    ) -> AsyncGenerator[SessionData, None]:
        """Read the sessions of one part of the list after the other. Adds to `damaged`."""
        exported: set[str] = set()
        while part is not None:
            damaged += part.damaged
            for session in part.sessions:
                if session.session_id in exported:
                    continue
                exported.add(session.session_id)
                try:
                    history = await self._conversations.read_whole(session.session_id, user_id)
                except (SessionDeleted, NotOwner):  # it may be another user's by now
                    continue
                except (HistoryDamaged, ValueUnreadable):
                    damaged.append(session.session_id)
                    continue
                if history is not None:
                    parts = _readable(session.session_id, history, damaged)
                    yield SessionData(session.session_id, history.head, parts)
            if part.before is None:
                break
            # Without an epoch: the export goes on if the list is written anew meanwhile. Older entries then have
            # smaller numbers, so none is left out, and some sessions come again.
            part = await self._sessions.part(user_id, Cursor(part.before), MAX_LISTED_SESSIONS)
        if damaged:
            logger.error("export without the damaged sessions: user=%s sessions=%s", user_id, damaged)


async def _readable(
    session_id: str, history: Slice | SliceStream, damaged: list[str]
) -> AsyncGenerator[Sequence[Entry], None]:
    """Give the entries up to the first one that cannot be read. Adds to `damaged`."""
    if isinstance(history, Slice):
        yield history.entries
        return
    try:
        async with aclosing(history.parts) as parts:
            async for part in parts:
                yield part
    except (HistoryDamaged, ValueUnreadable):
        damaged.append(session_id)
