"""Each user's list of sessions: a log with one entry for each session, oldest first.

An entry is written before the head of its session. So an entry may name a session that was never written, or one that
another attempt wrote. The session's head names the entry that counts (`listed`); readers skip all others.

For the order by activity the list also has activity marks: entries that a turn adds now and then for a session that is
in the list already. The head names its newest mark (`active`). activity.py has the rules.
"""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

import activity
from cursor import Cursor
from dapr_state import Stored
from documents import JSON, Document, Entry
from errors import ServiceError, StoreConflict, StoreRefusesWrites, StoreUnavailable
from keys import list_key, session_key
from list_compaction import ListCompactor, is_dead
from log.log_reader import UNREADABLE, Span
from log.page_plan import Head
from log.paged_log import PagedLog
from log.sweeps import Sweeper
from models import now

MAX_WIDTH = 1_000
"""Entries of a list that are looked at together, at most. Many dead ones in a row are passed over in few calls."""
MARK_SECONDS = 0.5
"""Limit of an activity mark, in seconds: a fifth of the turn's deadline, which it is a part of."""


logger = logging.getLogger("agent_memory_service.lists")


class Order(StrEnum):
    """The order of a list of sessions."""

    CREATED = "created"
    """The newest first. A session never moves."""
    ACTIVITY = "activity"
    """The one with the latest activity first, to within ACTIVITY_SECONDS; exactly within a part."""


@dataclass(frozen=True, slots=True)
class ListedSession:
    """What a list shows of a session. The head is not kept: a list may have many, each of megabytes."""

    session_id: str
    created: str
    last_activity: str
    messages: int
    first_words: str


@dataclass(frozen=True, slots=True)
class SessionsPart:
    """Some of a user's sessions, the newest first. `before` is the entry number to continue at, None at the end.

    `damaged` has the ids of listed sessions whose heads are unreadable.
    """

    sessions: Sequence[ListedSession]
    before: int | None
    epoch: str
    damaged: Sequence[str] = ()


class UserSessions:
    """The lists of all users."""

    def __init__(self, log: PagedLog, sweeper: Sweeper, compactor: ListCompactor) -> None:
        self._log = log
        self._sweeper = sweeper
        self._compactor = compactor

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

    def keep(self, user_id: str, stored: Stored | None, size_bytes: int) -> None:
        """Keep the head of the user's list, which was just read, for the session that is about to be added."""
        self._log.keep(list_key(user_id), stored, size_bytes)

    async def mark_active(self, user_id: str, session_id: str, fields: Document) -> Document:
        """Add an activity mark to the user's list, unless the newest entry is this session's.

        Returns the fields to store in the session's head. If the mark cannot be written there are none: the order is
        not worth a turn.
        """
        mark, at = secrets.token_hex(8), now()

        async def admit(head: Head | None, _is_repeat: bool) -> Document:
            if head is None or head.deleted:
                raise StoreConflict  # the user is being erased
            if head.history and head.history[-1]["turn_id"] == activity.named(fields):
                raise _AlreadyFirst
            return head.fields

        entry = activity.mark_entry(session_id, mark, at)
        try:
            async with asyncio.timeout(MARK_SECONDS):
                appended = await self._log.append(list_key(user_id), mark, [entry], admit)
        except _AlreadyFirst:
            return {"active_at": at}
        except (StoreConflict, StoreUnavailable, StoreRefusesWrites, TimeoutError) as error:
            logger.warning("activity not marked: user=%s reason=%s", user_id, type(error).__name__)
            return {}
        self._sweeper.adopt(list_key(user_id), appended.recorded.head)
        return {"active": mark, "active_at": at}

    def removed(self, fields: Document) -> None:
        """Note that a session was deleted whose head had these fields: its entries in the owner's list are dead."""
        owner, listed = fields.get("owner"), fields.get("listed")
        if isinstance(owner, str) and isinstance(listed, str):
            self._compactor.note(owner, {listed, activity.named(fields) or listed})

    async def part(
        self, user_id: str, before: Cursor | None, limit: int, order: Order = Order.CREATED
    ) -> SessionsPart | None:
        """Return at most `limit` sessions older than the cursor, or the newest; None if there is no list.

        Raises StaleCursor, HistoryDamaged, StoreConflict and StoreUnavailable.
        """
        end, width, epoch = before.number if before else None, limit, None
        sessions: list[ListedSession] = []
        damaged: list[str] = []
        while True:
            part = await self._log.read(list_key(user_id), _span(end, width))
            if part is None or part.head.deleted:
                return None
            if before is not None:
                before.check(part.head.epoch)
            if epoch not in (None, part.head.epoch):
                # The list was written anew, and its entries have other numbers.
                return await self.part(user_id, before, limit, order)
            epoch = part.head.epoch
            live = await self._live(user_id, part.entries, order)
            for number in range(part.first + len(part.entries) - 1, part.first - 1, -1):
                session = live[number - part.first]
                if isinstance(session, ListedSession):
                    sessions.append(session)
                elif session and session not in damaged:
                    damaged.append(session)
                if len(sessions) == limit:
                    return SessionsPart(_sorted(sessions, order), number or None, part.head.epoch, damaged)
            if part.first == 0:
                return SessionsPart(_sorted(sessions, order), None, part.head.epoch, damaged)
            end, width = part.first, min(2 * width, MAX_WIDTH)

    async def _live(self, user_id: str, entries: Sequence[Entry], order: Order) -> list[ListedSession | str | None]:
        """Return the session of each entry: its id if its head is unreadable, None if the entry does not count."""
        live: list[ListedSession | str | None] = []
        async with aclosing(self._log.heads([session_key(entry["session_id"]) for entry in entries])) as parts:
            async for heads in parts:
                following = entries[len(live) : len(live) + len(heads)]
                met = list(zip(following, heads, strict=True))
                dead = [entry["turn_id"] for entry, head in met if is_dead(entry, head, user_id)]
                self._compactor.note(user_id, dead)
                live += [_listed(user_id, entry, head, order) for entry, head in met]
        return live


def _span(end: int | None, limit: int) -> Span:
    """Choose the `limit` entries before number `end`, or the newest."""

    def span(head: Head) -> tuple[int, int]:
        last = head.total if end is None else min(end, head.total)
        return max(0, last - limit), last

    return span


def _sorted(sessions: list[ListedSession], order: Order) -> list[ListedSession]:
    """Put the sessions of one part into the exact order."""
    if order is Order.CREATED:
        return sessions
    return sorted(sessions, key=lambda it: activity.moment(it.last_activity, it.created), reverse=True)


def _listed(user_id: str, entry: Entry, head: Head | None, order: Order) -> ListedSession | str | None:
    if head is UNREADABLE:
        return None if activity.is_mark(entry) else entry["session_id"]
    if head is None or head.fields.get("owner") != user_id or _named(head, order) != entry["turn_id"]:
        return None
    created = cast(str, head.fields["created"])
    return ListedSession(
        session_id=entry["session_id"],
        created=created,
        last_activity=head.history[-1]["timestamp"] if head.history else created,
        messages=head.total,
        first_words=cast(str, head.fields["first_words"]) if head.total else "",
    )


def _named(head: Head, order: Order) -> JSON:
    """Return the id of the entry that counts for a session."""
    return head.fields.get("listed") if order is Order.CREATED else activity.named(head.fields)


class _AlreadyFirst(ServiceError):
    """The newest entry of the list is this session's: it needs no mark."""


async def _same_fields(head: Head | None, _is_repeat: bool) -> Document:
    """Admit every entry. An erase that is under way has a field in the list, also in a tombstone; it stays."""
    return head.fields if head else {}
