"""Sessions: histories of turns, each session owned by the user whose turn came first."""

from collections.abc import Sequence

from documents import Document, Entry
from errors import HistoryReplaced, NotOwner, SessionDeleted, SessionUnknown, SummaryConflict
from log import page_plan
from log.log_reader import Slice, Span
from log.page_plan import Head
from log.paged_log import Appended, PagedLog, Write
from log.sweeps import Sweeper
from models import NewTurn, SummaryOffer
from user_sessions import UserSessions, session_key

FIRST_WORDS_CHARACTERS = 80
"""Of the first message, kept in the head so that a list of sessions need not read pages."""
KEPT_BY_REPLACE = ("owner", "listed", "created")


class Conversations:
    """The sessions of all users."""

    def __init__(self, log: PagedLog, sweeper: Sweeper, sessions: UserSessions) -> None:
        self._log = log
        self._sweeper = sweeper
        self._sessions = sessions

    async def append(self, session_id: str, turn: NewTurn) -> Appended:
        """Add a turn whole, once; the same turn id again returns what is recorded.

        Raises NotOwner, SessionDeleted, StoreConflict and StoreUnavailable.
        """
        entries = [{**entry.model_dump(), "turn_id": turn.turn_id} for entry in turn.entries]

        async def admit(head: Head | None) -> Document:
            self._refuse_deleted(session_id, head)
            fields = head.fields if head else {}
            if head and fields.get("owner") == turn.user_id:
                return fields if head.total else {**fields, **_first_words(entries)}
            _refuse_stranger(head, turn.user_id)
            listed = await self._sessions.add(turn.user_id, session_id)
            return {**fields, **listed, **_first_words(head.history if head and head.history else entries)}

        key = session_key(session_id)
        done = await self._log.append(key, turn.turn_id, entries, admit)
        self._sweeper.later(key, done.turn.head)  # what a replace left unswept, if its process died
        return done

    async def whole(self, session_id: str, user_id: str | None = None) -> Slice | None:
        """The whole history, or None where there is no such session."""
        return await self._read(session_id, user_id, lambda head: (0, head.total))

    async def history(self, session_id: str) -> list[Entry]:
        """Every message, empty where there is no such session."""
        found = await self.whole(session_id)
        return list(found.entries) if found else []

    async def check_owner(self, session_id: str, user_id: str) -> None:
        """Raise NotOwner for a session of another user."""
        await self._read(session_id, user_id, lambda head: (head.total, head.total))

    async def newest(
        self, session_id: str, count: int, user_id: str | None = None, turn_id: str | None = None
    ) -> Slice | None:
        """The newest `count` messages, and the recorded turn `turn_id`."""
        return await self._read(session_id, user_id, lambda head: (max(0, head.total - count), head.total), turn_id)

    async def before(
        self, session_id: str, cursor: str, count: int, user_id: str | None = None, turn_id: str | None = None
    ) -> Slice | None:
        """The `count` messages before a cursor, and the recorded turn `turn_id`.

        Raises HistoryReplaced where the cursor is of another history.
        """
        number, _, epoch = cursor.partition("-")

        def span(head: Head) -> tuple[int, int]:
            if epoch not in ("", head.epoch):
                raise HistoryReplaced
            end = min(int(number), head.total)
            return max(0, end - count), end

        return await self._read(session_id, user_id, span, turn_id)

    async def replace(self, session_id: str, entries: Sequence[Entry]) -> None:
        """Put `history` in the place of what there is, as the tutorial's POST does; the last replace wins."""
        mine: set[str] = set()

        async def decide(head: Head | None) -> Write | None:
            if head and mine & {head.epoch, *(epoch for epoch, _ in head.was)}:
                return None
            self._refuse_deleted(session_id, head)
            fields = {name: head.fields[name] for name in KEPT_BY_REPLACE if name in head.fields} if head else {}
            if entries and "owner" in fields:
                fields |= _first_words(entries)
            successor = page_plan.replaced(head, entries, fields)
            mine.add(successor.epoch)
            return Write(successor)

        head = await self._log.revise(session_key(session_id), decide)
        if head:
            self._sweeper.later(session_key(session_id), head)

    async def summarize(self, session_id: str, offer: SummaryOffer) -> None:
        """Keep a summary that covers at least what the kept one does, of the same epoch. Raises SummaryConflict."""

        async def decide(head: Head | None) -> Write | None:
            self._refuse_deleted(session_id, head)
            if head is None:
                raise SessionUnknown
            kept = head.fields.get("summary")
            offered: Document = {"text": offer.text, "through": offer.through}
            if kept == offered and head.epoch == offer.epoch:
                return None
            _refuse_stale(head, offer)
            return Write(page_plan.with_field(head, "summary", offered))

        await self._log.revise(session_key(session_id), decide)

    async def delete(self, session_id: str, user_id: str | None = None) -> None:
        """Leave a tombstone of a session and sweep its pages. Deleting an absent session writes nothing."""

        async def decide(head: Head | None) -> Write | None:
            if head is None or head.deleted:
                return None
            if user_id is not None:
                _refuse_stranger(head, user_id)
            return Write(page_plan.tombstone(head))

        head = await self._log.revise(session_key(session_id), decide)
        if head:
            self._sweeper.later(session_key(session_id), head)
            await self._sweeper.sweep(session_key(session_id), head.was)

    async def _read(self, session_id: str, user_id: str | None, span: Span, turn_id: str | None = None) -> Slice | None:
        def allowed(head: Head) -> tuple[int, int]:
            if user_id is not None:
                _refuse_stranger(head, user_id)
            return span(head)

        found = await self._log.read(session_key(session_id), allowed, turn_id)
        self._refuse_deleted(session_id, found.head if found else None)
        return found

    def _refuse_deleted(self, session_id: str, head: Head | None) -> None:
        """Raise for a tombstone, and finish one that was left unswept."""
        if head is not None and head.deleted:
            self._sweeper.later(session_key(session_id), head)
            raise SessionDeleted


def _refuse_stranger(head: Head | None, user_id: str) -> None:
    if head is not None and head.fields.get("owner") not in (None, user_id):
        raise NotOwner


def _refuse_stale(head: Head, offer: SummaryOffer) -> None:
    kept = head.fields.get("summary")
    through = kept["through"] if isinstance(kept, dict) else 0
    if head.epoch != offer.epoch:
        raise SummaryConflict("These messages were replaced. Read the session again and summarise what is there now.")
    if isinstance(through, int) and offer.through < through:
        raise SummaryConflict(f"A summary through message {through} is kept. Read it and go on from there.")
    if offer.through > head.total:
        raise SummaryConflict(f"The session has {head.total} messages. Offer a summary of no more than these.")


def _first_words(entries: Sequence[Entry]) -> Document:
    return {"first_words": entries[0]["content"][:FIRST_WORDS_CHARACTERS]}
