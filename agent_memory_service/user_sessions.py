"""Each user's list of sessions: a log with one entry for each session, oldest first.

An entry is written before the head of its session. So an entry may name a session that was never written, or one that
another attempt wrote. The session's head names the entry that counts (`listed`); readers skip all others.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from cursor import Cursor
from documents import Document, Entry
from keys import list_key, session_key
from log.log_reader import Span
from log.page_plan import Head
from log.paged_log import PagedLog
from log.sweeps import Sweeper
from models import now


@dataclass(frozen=True, slots=True)
class ListedSession:
    """A session of a user, with its head."""

    session_id: str
    head: Head


@dataclass(frozen=True, slots=True)
class SessionsPart:
    """Some of a user's sessions, the newest first. `before` is the entry number to continue at, None at the end."""

    sessions: Sequence[ListedSession]
    before: int | None
    epoch: str


class UserSessions:
    """The lists of all users."""

    def __init__(self, log: PagedLog, sweeper: Sweeper) -> None:
        self._log = log
        self._sweeper = sweeper

    async def add(self, user_id: str, session_id: str) -> Document:
        """Add a session to the user's list.

        Returns the fields to store in the session's head; an entry without a matching head is ignored. Raises
        StoreConflict and StoreUnavailable.
        """
        listed, created = secrets.token_hex(8), now()
        entry = {"session_id": session_id, "timestamp": created, "turn_id": listed}
        appended = await self._log.append(list_key(user_id), listed, [entry], _same_fields)
        self._sweeper.adopt(list_key(user_id), appended.recorded.head)
        return {"owner": user_id, "listed": listed, "created": created}

    async def part(self, user_id: str, before: Cursor | None, limit: int) -> SessionsPart | None:
        """Return at most `limit` sessions older than the cursor, or the newest; None if there is no list.

        Raises StaleCursor, HistoryDamaged, StoreConflict and StoreUnavailable.
        """
        end = before.number if before else None
        sessions: list[ListedSession] = []
        while True:
            part = await self._log.read(list_key(user_id), _span(end, limit))
            if part is None or part.head.deleted:
                return None
            if before is not None:
                before.check(part.head.epoch)
            live = await self._live(user_id, part.entries)
            for number in range(part.first + len(part.entries) - 1, part.first - 1, -1):
                if session := live[number - part.first]:
                    sessions.append(session)
                if len(sessions) == limit:
                    return SessionsPart(sessions, number or None, part.head.epoch)
            if part.first == 0:
                return SessionsPart(sessions, None, part.head.epoch)
            end = part.first

    async def _live(self, user_id: str, entries: Sequence[Entry]) -> list[ListedSession | None]:
        """Return the session of each entry, None for an entry that does not count."""
        heads = await self._log.heads([session_key(entry["session_id"]) for entry in entries])
        return [
            ListedSession(entry["session_id"], head) if head is not None and _counts(head, user_id, entry) else None
            for entry, head in zip(entries, heads, strict=True)
        ]


def _span(end: int | None, limit: int) -> Span:
    """Choose the `limit` entries before number `end`, or the newest."""

    def span(head: Head) -> tuple[int, int]:
        last = head.total if end is None else min(end, head.total)
        return max(0, last - limit), last

    return span


def _counts(head: Head, user_id: str, entry: Entry) -> bool:
    return head.fields.get("owner") == user_id and head.fields.get("listed") == entry["turn_id"]


async def _same_fields(head: Head | None) -> Document:
    """Admit every entry. An erase that is under way has a field in the list; it stays. A tombstone has none."""
    return head.fields if head else {}
