"""From what the memory returns to the bodies of responses."""

from collections.abc import Sequence
from typing import cast

from fastapi import Response
from pydantic_core import to_json

from cursor import Cursor
from documents import Entry
from export import UserData
from log.log_reader import Slice
from log.page_plan import Head
from log.paged_log import Appended
from models import (
    AppendedTurn,
    ConversationSlice,
    Export,
    ExportedSession,
    Message,
    RecordedTurn,
    SessionInfo,
    SessionPage,
    Summary,
    UserMetadata,
    now,
)
from user_sessions import ListedSession, SessionsPart


def messages(entries: Sequence[Entry]) -> list[Message]:
    """Entries as messages."""
    return [Message.model_validate(entry) for entry in entries]


def whole_history(history: Sequence[Entry]) -> Response:
    """A whole history in the tutorial's form. It is written as JSON at once: it may have 100,000 messages."""
    shown = [
        {"role": it["role"], "content": it["content"], "timestamp": it.get("timestamp") or now()} for it in history
    ]
    return Response(to_json({"history": shown}), media_type="application/json")


def summary(head: Head) -> Summary | None:
    """The stored summary of a session."""
    stored = head.fields.get("summary")
    return Summary.model_validate(stored) if stored else None


def cursor(number: int | None, epoch: str) -> str | None:
    """The cursor of the part before an entry; None at the beginning."""
    return Cursor(number, epoch).format() if number else None


def conversation(session_id: str, part: Slice | None, turn_id: str | None) -> ConversationSlice:
    """A part of a session; empty if there is no such session."""
    if part is None:
        return ConversationSlice(
            session_id=session_id, history=messages(()), total=0, epoch=None, summary=None, before=None, turn=None
        )
    return ConversationSlice(
        session_id=session_id,
        history=messages(part.entries),
        total=part.head.total,
        epoch=part.head.epoch,
        summary=summary(part.head),
        before=cursor(part.first, part.head.epoch),
        turn=recorded_turn(turn_id, part.recorded) if turn_id and part.recorded else None,
    )


def recorded_turn(turn_id: str, turn: Slice) -> RecordedTurn:
    """A stored turn."""
    return RecordedTurn(turn_id=turn_id, seq=turn.first, entries=messages(turn.entries))


def appended_turn(session_id: str, turn_id: str, appended: Appended) -> AppendedTurn:
    """The response to an append."""
    turn = appended.recorded
    return AppendedTurn(
        session_id=session_id,
        turn_id=turn_id,
        seq=turn.first,
        entries=messages(turn.entries),
        epoch=turn.head.epoch,
        total=turn.head.total,
    )


def session_page(part: SessionsPart | None) -> SessionPage:
    """A part of a user's list of sessions; empty if there is no list."""
    if part is None:
        return SessionPage(conversations=[], before=None)
    return SessionPage(
        conversations=[session_info(session) for session in part.sessions], before=cursor(part.before, part.epoch)
    )


def session_info(session: ListedSession) -> SessionInfo:
    """One session in a list."""
    head = session.head
    created = cast(str, head.fields["created"])
    return SessionInfo(
        session_id=session.session_id,
        created=created,
        last_activity=head.history[-1]["timestamp"] if head.history else created,
        messages=head.total,
        first_words=cast(str, head.fields["first_words"]) if head.total else "",
    )


def export(data: UserData) -> Export:
    """Everything that is stored of a user."""
    return Export(
        user_id=data.user_id,
        profile=UserMetadata.model_validate(data.profile) if data.profile else None,
        conversations=[exported_session(session_id, history) for session_id, history in data.sessions],
    )


def exported_session(session_id: str, history: Slice) -> ExportedSession:
    """One session with everything that is stored of it."""
    return ExportedSession(
        session_id=session_id,
        created=cast(str, history.head.fields["created"]),
        summary=summary(history.head),
        history=messages(history.entries),
    )
