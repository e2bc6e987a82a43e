"""Sessions: each has a history of turns and belongs to the user whose turn came first."""

from collections.abc import AsyncGenerator, Sequence

import activity
import clock
from cursor import Cursor
from dapr_state import Stored
from documents import Document, Entry
from errors import (
    BodyTooLarge,
    HistoryTooLarge,
    NotOwner,
    SessionDeleted,
    SessionUnknown,
    StoreRefusesWrites,
    SummaryConflict,
)
from keys import session_key
from log import page_plan
from log.log_reader import Slice, SliceStream, Span, whole
from log.page_plan import Head, Write
from log.paged_log import Appended, PagedLog
from log.sweeps import TOMBSTONE_TTL_SECONDS, Sweeper
from models import NewTurn, SummaryOffer
from user_sessions import UserSessions

FIRST_WORDS_CHARS = 80
"""Characters of the first message that the head keeps, so that a list of sessions needs no pages."""
NO_SUMMARY: Document = {"text": "", "through": 0}
"""What stands for the summary of a session that has none, where summaries are compared."""
FIELDS_KEPT_BY_REPLACE = ("owner", "listed", "created", "active", "active_at")
"""Fields of a head that a replace does not change. The summary goes: its messages are replaced."""


class Conversations:
    """The sessions of all users."""

    def __init__(self, log: PagedLog, sweeper: Sweeper, sessions: UserSessions) -> None:
        self._log = log
        self._sweeper = sweeper
        self._sessions = sessions

    async def append(self, session_id: str, turn: NewTurn) -> Appended:
        """Add a turn, all of it, once. A remembered turn id returns the recorded turn.

        Raises NotOwner, SessionDeleted, HistoryTooLarge, StoreConflict and StoreUnavailable.
        """
        key = session_key(session_id)
        entries = [{**entry.model_dump(), "turn_id": turn.turn_id} for entry in turn.entries]
        marks: list[Document] = []

        async def with_mark(fields: Document) -> Document:
            if not activity.is_due(fields, clock.now()):
                return fields
            if not marks:  # one for all attempts
                marks.append(await self._sessions.mark_active(turn.user_id, session_id, fields))
            return {**fields, **marks[0]}

        async def admit(head: Head | None, is_repeat: bool) -> Document:
            """Return the fields of the head that will have the turn.

            A deleted session is refused, and so is one of another user. A session of this user keeps its fields. One
            without an owner, which is new or was written by the tutorial's code, is listed and becomes this user's.
            """
            self._check_not_deleted(session_id, head)
            _check_owner(head, turn.user_id, turn.owner_required)
            fields = head.fields if head else {}
            if is_repeat:
                return fields
            if head and fields.get("owner") == turn.user_id:
                fields = await with_mark(fields)
                return fields if head.total else {**fields, **_first_words(entries)}
            if head:
                await self._log.check_room(key, head, turn.turn_id, entries)
            listed = await self._sessions.add(turn.user_id, session_id)
            return {**fields, **listed, **_first_words(head.history if head and head.history else entries)}

        appended = await self._log.append(key, turn.turn_id, entries, admit)
        self._sweeper.adopt(key, appended.recorded.head)
        return appended

    async def read_whole(
        self, session_id: str, user_id: str | None = None, *, owner_required: bool = False
    ) -> Slice | SliceStream | None:
        """Return the whole history, None if there is no such session. Raises what `read_part` raises."""
        return await self._read(session_id, user_id, lambda head: (0, head.total), owner_required=owner_required)

    async def read_history(
        self, session_id: str, user_id: str | None = None, *, owner_required: bool = False
    ) -> list[Entry] | AsyncGenerator[Sequence[Entry], None]:
        """Return all messages, empty if there is no such session; in parts if they are many megabytes.

        Raises what `read_part` raises.
        """
        whole = await self.read_whole(session_id, user_id, owner_required=owner_required)
        if isinstance(whole, SliceStream):
            return whole.parts
        return list(whole.entries) if whole else []

    async def check_owner(self, session_id: str, user_id: str) -> None:
        """Raise NotOwner if the session belongs to another user, and SessionDeleted."""
        await self._read(session_id, user_id, lambda head: (head.total, head.total))

    async def read_part(
        self,
        session_id: str,
        count: int | None = None,
        before: Cursor | None = None,
        user_id: str | None = None,
        turn_id: str | None = None,
        *,
        owner_required: bool = False,
    ) -> Slice | SliceStream | None:
        """Return the `count` messages before the cursor, or the newest, and the recorded turn `turn_id`.

        Without a count it returns as many as one read of the head gives. None: there is no such session. Raises
        NotOwner, SessionDeleted, StaleCursor, HistoryDamaged, StoreConflict and StoreUnavailable.
        """

        def span(head: Head) -> tuple[int, int]:
            if before is not None:
                before.check(head.epoch)
            end = head.total if before is None else min(before.number, head.total)
            return max(0, end - (count or page_plan.HEAD_MIN_ENTRIES)), end

        return await self._read(session_id, user_id, span, turn_id, owner_required=owner_required)

    async def recall(
        self,
        session_id: str,
        user_id: str,
        stored: Stored | None,
        size_bytes: int,
        count: int,
        turn_id: str | None = None,
        *,
        owner_required: bool = False,
    ) -> Slice | None:
        """Return the newest `count` messages, given the head that was just read, and the recorded turn `turn_id`.

        The head is kept for the append that follows. If there is no session, that is remembered too. Raises what
        `read_part` raises.
        """
        key = session_key(session_id)
        head = page_plan.parse(stored.value) if stored else None

        def span(head: Head) -> tuple[int, int]:
            _check_owner(head, user_id, owner_required)
            return max(0, head.total - count), head.total

        part = await whole(await self._log.open_at(key, head, span, turn_id))
        self._check_not_deleted(session_id, part.head if part else None)
        if stored is None or (part and part.head is head and head.fields.get("owner") == user_id):
            self._log.keep(key, stored, size_bytes, head)
        return part

    def expect_new(self, session_id: str) -> None:
        """Remember that there is no such session: its first append then does not look for it."""
        self._log.keep(session_key(session_id), None, 0)

    async def replace(self, session_id: str, entries: Sequence[Entry]) -> None:
        """Replace the whole history, as the tutorial's POST does. The last replace wins.

        Raises SessionDeleted, BodyTooLarge, StoreConflict and StoreUnavailable.
        """
        key = session_key(session_id)
        retirement = self._sweeper.retirement(key)
        own_epochs: set[str] = set()

        async def decide(head: Head | None) -> Write | None:
            if head and own_epochs & {head.epoch, *(past.epoch for past in head.past_epochs)}:
                return None  # an earlier attempt was done
            self._check_not_deleted(session_id, head)
            fields = {name: head.fields[name] for name in FIELDS_KEPT_BY_REPLACE if name in head.fields} if head else {}
            if entries and "owner" in fields:
                fields |= _first_words(entries)
            await retirement.plan(head)
            replacement = page_plan.replacement(head, entries, fields, clock.now())
            own_epochs.add(replacement.epoch)
            return Write(replacement)

        # The replaced pages are left to the due list: reads that have begun still find them.
        await self._log.compare_and_swap(key, decide)

    async def summarize(
        self, session_id: str, offer: SummaryOffer, user_id: str | None = None, *, owner_required: bool = False
    ) -> None:
        """Store a summary that covers at least as many messages as the stored one, of the same epoch.

        If the offer names the summary that it was made from, that one must be the stored one. So a summary that was
        begun before the user corrected or removed the stored one does not bring the old text back.

        Raises NotOwner, SummaryConflict, SessionUnknown, SessionDeleted, HistoryTooLarge, StoreConflict and
        StoreUnavailable.
        """
        summary: Document = {"text": offer.text, "through": offer.through}

        async def decide(head: Head | None) -> Write | None:
            self._check_not_deleted(session_id, head)
            if head is None:
                raise SessionUnknown
            _check_owner(head, user_id, owner_required)
            if head.fields.get("summary") == summary and head.epoch == offer.epoch:
                return None
            _check_summary(head, offer)
            return Write(page_plan.with_field(head, "summary", summary))

        try:
            await self._log.compare_and_swap(session_key(session_id), decide)
        except BodyTooLarge:
            raise HistoryTooLarge from None

    async def delete(self, session_id: str, user_id: str | None = None, *, owner_required: bool = False) -> None:
        """Write a tombstone over a session and sweep its pages. May be repeated.

        An absent session gets a tombstone too: its first turn may still be on its way, and is then refused. A store
        that is full has room for the tombstone after the pages are removed. Raises NotOwner, StoreConflict,
        StoreRefusesWrites and StoreUnavailable.
        """
        try:
            await self._delete(session_id, user_id, owner_required)
        except StoreRefusesWrites:
            key = session_key(session_id)
            await self._sweeper.free_space(key, lambda head: _is_owner(head, user_id, owner_required))
            await self._delete(session_id, user_id, owner_required)

    async def _delete(self, session_id: str, user_id: str | None, owner_required: bool) -> None:
        key = session_key(session_id)
        retirement = self._sweeper.retirement(key)
        fields: Document = {}

        async def decide(head: Head | None) -> Write | None:
            _check_owner(head, user_id, owner_required)
            fields.update(head.fields if head else {})
            await retirement.plan(head)
            # Also over a tombstone: the TTL of an attempt without a response may be missing.
            return Write(page_plan.tombstone(head), ttl_seconds=TOMBSTONE_TTL_SECONDS)

        tombstone = await self._log.compare_and_swap(key, decide)
        self._sessions.removed(fields)
        await retirement.sweep(tombstone)

    async def _read(
        self,
        session_id: str,
        user_id: str | None,
        span: Span,
        turn_id: str | None = None,
        *,
        owner_required: bool = False,
    ) -> Slice | SliceStream | None:
        def checked_span(head: Head) -> tuple[int, int]:
            _check_owner(head, user_id, owner_required)
            return span(head)

        part = await self._log.open(session_key(session_id), checked_span, turn_id)
        self._check_not_deleted(session_id, part.head if part else None)
        return part

    def _check_not_deleted(self, session_id: str, head: Head | None) -> None:
        """Raise SessionDeleted for a tombstone."""
        if head is not None and head.deleted:
            self._sweeper.adopt(session_key(session_id), head)
            raise SessionDeleted


def _check_owner(head: Head | None, user_id: str | None, owner_required: bool = False) -> None:
    """Raise NotOwner, unless the caller names no user."""
    if not _is_owner(head, user_id, owner_required):
        raise NotOwner


def _is_owner(head: Head | None, user_id: str | None, owner_required: bool) -> bool:
    """A session without an owner may be anybody's, unless an owner is required. A new one is its first user's."""
    if head is None or user_id is None:
        return True
    return head.fields.get("owner", None if owner_required else user_id) == user_id


def _check_summary(head: Head, offer: SummaryOffer) -> None:
    stored = head.fields.get("summary") or NO_SUMMARY
    through = stored["through"] if isinstance(stored, dict) else 0
    if head.epoch != offer.epoch:
        raise SummaryConflict("The summarized messages were replaced. Read the session again and write a new summary.")
    if offer.previous is not None and offer.previous.model_dump() != stored:
        raise SummaryConflict("The stored summary was changed meanwhile. Read it again and write a new summary.")
    if isinstance(through, int) and offer.through < through:
        raise SummaryConflict(f"The stored summary covers {through} messages. Read it and summarize from there.")
    if offer.through > head.total:
        raise SummaryConflict(f"The session has {head.total} messages. Send a summary of at most that many.")


def _first_words(entries: Sequence[Entry]) -> Document:
    return {"first_words": entries[0]["content"][:FIRST_WORDS_CHARS]}
