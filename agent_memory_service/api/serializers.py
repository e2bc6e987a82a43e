"""From what the memory returns to the bodies of responses."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing

from fastapi import Response
from pydantic_core import to_json

from api.json_stream import JSONStream, StreamLimit
from cursor import Cursor
from documents import Document, Entry
from export import SessionData, UserData
from fact_list import facts_of
from log.log_reader import Slice, SliceStream
from log.page_plan import Head
from log.paged_log import Appended
from models import (
    AppendedTurn,
    ConversationSlice,
    Fact,
    FactList,
    Message,
    RecordedTurn,
    SessionInfo,
    SessionPage,
    Summary,
    UserMemories,
    UserMetadata,
    now,
)
from profiles import default_profile
from recall import Recalled
from user_sessions import ListedSession, SessionsPart


def messages(entries: Sequence[Entry]) -> list[Message]:
    """Entries as messages."""
    return [Message.model_validate(entry) for entry in entries]


def tutorial_message(entry: Entry) -> Mapping[str, str | None]:
    """A message in the tutorial's form."""
    return {"role": entry["role"], "content": entry["content"], "timestamp": entry.get("timestamp") or now()}


def message(entry: Entry) -> Mapping[str, str | bool | None]:
    """A message as `Message` has it. Of long histories no model is made of each message."""
    mark = {"stopped": True} if entry.get("stopped") else {}
    return {**tutorial_message(entry), "turn_id": entry.get("turn_id"), **mark}


def whole_history(history: Sequence[Entry] | AsyncGenerator[Sequence[Entry], None], limit: StreamLimit) -> Response:
    """A whole history in the tutorial's form. It is written as JSON at once: it may have 100,000 messages."""
    if isinstance(history, Sequence):
        return Response(to_json({"history": list(map(tutorial_message, history))}), media_type="application/json")
    return JSONStream(_object("history", _items(history, tutorial_message), {}), limit)


def summary(head: Head) -> Summary | None:
    """The stored summary of a session."""
    stored = head.fields.get("summary")
    return Summary.model_validate(stored) if stored else None


def cursor(number: int | None, epoch: str) -> str | None:
    """The cursor of the part before an entry; None at the beginning."""
    return Cursor(number, epoch).format() if number else None


def conversation(
    session_id: str, part: Slice | SliceStream | None, turn_id: str | None, limit: StreamLimit
) -> ConversationSlice | Response:
    """A part of a session; empty if there is no such session."""
    if part is None:
        return ConversationSlice(
            session_id=session_id, history=messages(()), total=0, epoch=None, summary=None, before=None, turn=None
        )
    shown = ConversationSlice(
        session_id=session_id,
        history=messages(part.entries if isinstance(part, Slice) else ()),
        total=part.head.total,
        epoch=part.head.epoch,
        summary=summary(part.head),
        before=cursor(part.first, part.head.epoch),
        turn=recorded_turn(turn_id, part.recorded) if turn_id and part.recorded else None,
    )
    if isinstance(part, Slice):
        return shown
    return JSONStream(_object("history", _items(part.parts, message), shown.model_dump(exclude={"history"})), limit)


def recorded_turn(turn_id: str, turn: Slice) -> RecordedTurn:
    """A stored turn."""
    return RecordedTurn(turn_id=turn_id, seq=turn.first, entries=messages(turn.entries))


def appended_turn(session_id: str, turn_id: str, appended: Appended) -> AppendedTurn:
    """The response to an append."""
    turn = appended.recorded
    covering = summary(turn.head)
    return AppendedTurn(
        session_id=session_id,
        turn_id=turn_id,
        seq=turn.first,
        entries=messages(turn.entries),
        epoch=turn.head.epoch,
        total=turn.head.total,
        summarized=covering.through if covering else 0,
    )


def session_page(part: SessionsPart | None) -> SessionPage:
    """A part of a user's list of sessions; empty if there is no list."""
    if part is None:
        return SessionPage(conversations=[], before=None)
    return SessionPage(
        conversations=[session_info(session) for session in part.sessions],
        before=cursor(part.before, part.epoch),
        damaged=list(part.damaged),
    )


def session_info(session: ListedSession) -> SessionInfo:
    """One session in a list."""
    return SessionInfo(
        session_id=session.session_id,
        created=session.created,
        last_activity=session.last_activity,
        messages=session.messages,
        first_words=session.first_words,
    )


def facts(stored: Sequence[Document]) -> FactList:
    """A user's facts."""
    return FactList(facts=[Fact.model_validate(fact) for fact in stored])


def memories(profile: Document, default: Document) -> UserMemories:
    """A user's profile, or the default one, and the facts."""
    return UserMemories.model_validate({**(profile or default), "facts": facts(facts_of(profile)).facts})


def recollection(user_id: str, session_id: str, recalled: Recalled, turn_id: str | None) -> Response:
    """What a turn needs of memory, in the form of `Recollection`. It is written at once, as every turn reads it."""
    part = recalled.part
    conversation = {
        "session_id": session_id,
        "history": list(map(message, part.entries)) if part else [],
        "total": part.head.total if part else 0,
        "epoch": part.head.epoch if part else None,
        "summary": part.head.fields.get("summary") if part else None,
        "before": cursor(part.first, part.head.epoch) if part else None,
        "turn": recorded_turn(turn_id, part.recorded) if turn_id and part and part.recorded else None,
    }
    about = {"memories": memories(recalled.profile, default_profile(user_id)), "conversation": conversation}
    return Response(to_json(about), media_type="application/json")


def export(data: UserData, limit: StreamLimit) -> Response:
    """Everything that is stored of a user, in the form of `Export`. It is sent while it is read."""
    return JSONStream(_export(data), limit)


async def _export(data: UserData) -> AsyncGenerator[bytes, None]:
    profile = UserMetadata.model_validate(data.profile) if data.profile else None
    about = {"user_id": data.user_id, "profile": profile, "facts": facts(facts_of(data.profile)).facts}
    yield to_json({**about, "conversations": []})[: -len("]}")]
    async with aclosing(_sessions(data)) as pieces:
        async for piece in pieces:
            yield piece
    yield b"]" + (b',"damaged":' + to_json(data.damaged) if data.damaged else b"") + b"}"


async def _sessions(data: UserData) -> AsyncGenerator[bytes, None]:
    """The sessions of a user as items of a JSON list."""
    comma = b""
    async with aclosing(data.sessions) as sessions:
        async for session in sessions:
            yield comma
            async with aclosing(_session(session)) as pieces:
                async for piece in pieces:
                    yield piece
            comma = b","


def _session(session: SessionData) -> AsyncGenerator[bytes, None]:
    """One session in the form of `ExportedSession`."""
    created, about = session.head.fields["created"], summary(session.head)
    fields = {"session_id": session.session_id, "created": created, "summary": about}
    return _object("history", _items(session.parts, message), fields)


async def _object(
    name: str, items: AsyncGenerator[bytes, None], fields: Mapping[str, object]
) -> AsyncGenerator[bytes, None]:
    """A JSON object with a long list, `name`, and some more `fields`."""
    async with aclosing(items):
        yield to_json({**fields, name: []})[: -len("]}")]
        async for piece in items:
            yield piece
        yield b"]}"


async def _items(
    parts: AsyncGenerator[Sequence[Entry], None], form: Callable[[Entry], Mapping[str, str | bool | None]]
) -> AsyncGenerator[bytes, None]:
    """Entries as items of a JSON list, each in the given form."""
    comma = b""
    async with aclosing(parts):
        async for part in parts:
            if part:
                yield comma + to_json(list(map(form, part)))[1:-1]
                comma = b","
