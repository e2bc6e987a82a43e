"""Which sessions a user has: a log under `sessions-of:{user_id}`, oldest first.

An entry is written before the session's head, so it may name a session that never came, or one that came by another
attempt. The head names the one entry that counts (`listed`); readers skip the others.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from documents import Document, Entry
from log.log_reader import Span
from log.page_plan import Head
from log.paged_log import PagedLog
from models import now


def session_key(session_id: str) -> str:
    """Where a session's head is kept."""
    return f"session:{session_id}"


def list_key(user_id: str) -> str:
    """Where the head of a user's list is kept."""
    return f"sessions-of:{user_id}"


@dataclass(frozen=True, slots=True)
class Listed:
    """A session of the user, with its head."""

    session_id: str
    head: Head


@dataclass(frozen=True, slots=True)
class ListPage:
    """Sessions, newest created first; `before` is the number to go on from, None at the end."""

    sessions: Sequence[Listed]
    before: int | None
    epoch: str


class UserSessions:
    """The lists of all users."""

    def __init__(self, log: PagedLog) -> None:
        self._log = log

    async def add(self, user_id: str, session_id: str) -> Document:
        """List a session that is about to be the user's. Returns what its head must say for the entry to count."""
        listed, created = secrets.token_hex(8), now()
        entry = {"session_id": session_id, "timestamp": created, "turn_id": listed}
        await self._log.append(list_key(user_id), listed, [entry], _fields)
        return {"owner": user_id, "listed": listed, "created": created}

    async def page(self, user_id: str, before: int | None, limit: int) -> ListPage | None:
        """At most `limit` sessions created before the entry numbered `before`, or the newest. None: no list."""
        found: list[Listed] = []
        while True:
            part = await self._log.read(list_key(user_id), _span(before, limit))
            if part is None or part.head.deleted:
                return None
            live = await self._live(user_id, part.entries)
            for number in range(part.first + len(part.entries) - 1, part.first - 1, -1):
                if session := live[number - part.first]:
                    found.append(session)
                if len(found) == limit:
                    return ListPage(found, number or None, part.head.epoch)
            if part.first == 0:
                return ListPage(found, None, part.head.epoch)
            before = part.first

    async def _live(self, user_id: str, entries: Sequence[Entry]) -> list[Listed | None]:
        heads = await self._log.heads([session_key(entry["session_id"]) for entry in entries])
        return [
            Listed(entry["session_id"], head) if head is not None and _counts(head, user_id, entry) else None
            for entry, head in zip(entries, heads, strict=True)
        ]


def _span(before: int | None, limit: int) -> Span:
    """The `limit` entries before a number, or the newest."""

    def span(head: Head) -> tuple[int, int]:
        end = head.total if before is None else min(before, head.total)
        return max(0, end - limit), end

    return span


def _counts(head: Head, user_id: str, entry: Entry) -> bool:
    return head.fields.get("owner") == user_id and head.fields.get("listed") == entry["turn_id"]


async def _fields(_: Head | None) -> Document:
    """A list keeps nothing beside its entries, and a first turn after an erase revives it."""
    return {}
