"""From what the memory keeps to what its API shows."""

from collections.abc import Sequence
from typing import cast

from fastapi import Response
from pydantic_core import to_json

from documents import Entry
from log.log_reader import Slice
from log.page_plan import Head
from log.paged_log import Appended
from models import (
    AppendedTurn,
    ConversationSlice,
    ExportedSession,
    Message,
    RecordedTurn,
    SessionInfo,
    SessionPage,
    Summary,
    now,
)
from user_sessions import Listed, ListPage


def messages(entries: Sequence[Entry]) -> list[Message]:
    """Entries as the API shows them."""
    return [Message.model_validate(entry) for entry in entries]


def whole(history: Sequence[Entry]) -> Response:
    """A whole history as the tutorial shows it. Written straight to JSON: it may have 100,000 messages."""
    shown = [
        {"role": it["role"], "content": it["content"], "timestamp": it.get("timestamp") or now()} for it in history
    ]
    return Response(to_json({"history": shown}), media_type="application/json")


def summary(head: Head) -> Summary | None:
    """The summary a head keeps."""
    kept = head.fields.get("summary")
    return Summary.model_validate(kept) if kept else None


def cursor(number: int, epoch: str) -> str | None:
    """What to give as `before` for what lies before an entry; None at the beginning."""
    return f"{number}-{epoch}" if number else None


def conversation(session_id: str, part: Slice | None, turn_id: str | None) -> ConversationSlice:
    """A part of a session; empty where there is no such session."""
    if part is None:
        empty: list[Message] = []
        return ConversationSlice(
            session_id=session_id, history=empty, total=0, epoch=None, summary=None, before=None, turn=None
        )
    return ConversationSlice(
        session_id=session_id,
        history=messages(part.entries),
        total=part.head.total,
        epoch=part.head.epoch,
        summary=summary(part.head),
        before=cursor(part.first, part.head.epoch),
        turn=recorded(turn_id, part.turn) if turn_id and part.turn else None,
    )


def recorded(turn_id: str, turn: Slice) -> RecordedTurn:
    """A turn as it is kept."""
    return RecordedTurn(turn_id=turn_id, seq=turn.first, entries=messages(turn.entries))


def appended(session_id: str, turn_id: str, done: Appended) -> AppendedTurn:
    """What an append answers."""
    return AppendedTurn(
        session_id=session_id,
        turn_id=turn_id,
        seq=done.turn.first,
        entries=messages(done.turn.entries),
        epoch=done.turn.head.epoch,
        total=done.turn.head.total,
    )


def session_page(page: ListPage | None) -> SessionPage:
    """A part of a user's list of sessions."""
    if page is None:
        return SessionPage(conversations=[], before=None)
    before = cursor(page.before or 0, page.epoch)
    return SessionPage(conversations=[session_info(session) for session in page.sessions], before=before)


def session_info(session: Listed) -> SessionInfo:
    """One session as a list shows it."""
    head = session.head
    created = cast(str, head.fields["created"])
    return SessionInfo(
        session_id=session.session_id,
        created=created,
        last_activity=head.history[-1]["timestamp"] if head.history else created,
        messages=head.total,
        first_words=cast(str, head.fields["first_words"]) if head.total else "",
    )


def exported(session: Listed, history: Slice) -> ExportedSession:
    """One session with all that is kept of it."""
    return ExportedSession(
        session_id=session.session_id,
        created=cast(str, history.head.fields["created"]),
        summary=summary(history.head),
        history=messages(history.entries),
    )
