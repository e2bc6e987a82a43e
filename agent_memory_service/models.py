"""What goes over the memory service's HTTP API. The first three are the tutorial's."""

from datetime import UTC, datetime
from typing import Annotated, Self

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator
from pydantic_core import to_json

ENTRY_BYTES = 120_000
"""An entry's JSON: the 32 a head may hold stay below the 4 MiB that Dapr takes in one request."""
REPLACE_MESSAGES = 10_000
TURN_ENTRIES = 12
"""Entries of one turn, at most: a user's text, a reply, and what tools said between them."""
LAST_MESSAGES = 1_000
"""Messages asked for at once, at most; the whole history has a route of its own."""
SESSIONS_ON_A_PAGE = 100
"""Sessions listed at once, at most: their heads are read in one call."""

# Dapr's paths and keys cannot carry `/ ? # %` or the names `.` and `..`, and `|` and `:` divide our keys.
_ID_CHARACTER = r"[^/\\?#%:|\s\x00-\x1f\x7f-\x9f]"
_NOT_DOT = _ID_CHARACTER.replace("[^", "[^.")
ID_PATTERN = rf"^(?:{_NOT_DOT}{_ID_CHARACTER}*|\.{_NOT_DOT}{_ID_CHARACTER}*|\.\.{_ID_CHARACTER}+)$"

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=ID_PATTERN)]
SessionId = Annotated[Identifier, Path(examples=["session-1"])]
UserId = Annotated[Identifier, Path(examples=["junaid"])]
UserIdQuery = Annotated[Identifier | None, Query(description="refuse if the session is another user's")]
Cursor = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,15}(-[0-9a-f]{1,32})?$")]
Text = Annotated[str, StringConstraints(min_length=0)]
"""Text that can be stored: under any constraint, lone surrogates are refused, which no UTF-8 can carry."""
ProfileField = Annotated[str, StringConstraints(max_length=2_000)]


def now() -> str:
    """The present time in UTC, ISO 8601, as the tutorial writes it."""
    return datetime.now(UTC).isoformat()


def _example(**fields: JsonValue) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [dict(fields)]})


class UserMetadata(BaseModel):
    """A user's profile."""

    name: str
    preferred_style: str
    goal: str


class NewProfile(UserMetadata):
    """A profile to keep."""

    model_config = _example(name="Junaid", preferred_style="formal", goal="schedule tasks")

    name: ProfileField
    preferred_style: ProfileField
    goal: ProfileField


class ConversationEntry(BaseModel):
    """One message; `timestamp` is ISO 8601, the time of arrival when left out."""

    role: str
    content: str
    timestamp: str = Field(default_factory=now)


class NewEntry(ConversationEntry):
    """One message to keep."""

    role: Text
    content: Text
    timestamp: Text = Field(default_factory=now)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        # Six bytes a character is the longest JSON spelling, so most entries need no counting.
        length = len(self.role) + len(self.content) + len(self.timestamp)
        if length * 6 > ENTRY_BYTES and len(to_json(self)) > ENTRY_BYTES:
            raise ValueError(f"a message may take {ENTRY_BYTES} bytes as JSON; shorten it or split it")
        return self


class ConversationHistory(BaseModel):
    """A whole history, oldest message first."""

    history: list[ConversationEntry] = []


class NewHistory(BaseModel):
    """A history to keep in the place of what there is."""

    model_config = _example(history=[{"role": "user", "content": "Hello", "timestamp": "2026-01-01T12:00:00+00:00"}])

    history: Annotated[list[NewEntry], Field(max_length=REPLACE_MESSAGES)] = []


class ProfileChange(BaseModel):
    """The fields of a profile to change; what is left out stays."""

    model_config = _example(goal="learn Dapr") | ConfigDict(extra="forbid")

    name: ProfileField | None = None
    preferred_style: ProfileField | None = None
    goal: ProfileField | None = None


class NewTurn(BaseModel):
    """One turn to append, whole. The same `turn_id` again is a repetition, never a second turn."""

    model_config = _example(
        turn_id="turn-1",
        user_id="junaid",
        entries=[{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello Junaid."}],
    )

    turn_id: Identifier
    user_id: Identifier
    entries: Annotated[list[NewEntry], Field(min_length=1, max_length=TURN_ENTRIES)]


class Message(ConversationEntry):
    """A message as it is kept: `turn_id` names the turn it came with, null where the tutorial's POST brought it."""

    turn_id: str | None = None


class RecordedTurn(BaseModel):
    """A turn as it is kept; `seq` is the number of its first message, counted from 0."""

    turn_id: str
    seq: int
    entries: list[Message]


class AppendedTurn(RecordedTurn):
    """What an append answers; `total` is the number of messages in the session."""

    session_id: str
    epoch: str
    total: int


class Summary(BaseModel):
    """A summary of the first `through` messages."""

    text: Annotated[str, StringConstraints(max_length=16_000)]
    through: Annotated[int, Field(ge=0, le=2**53)]


class SummaryOffer(Summary):
    """A summary to keep; `epoch` is the one the messages were read with."""

    model_config = _example(text="Junaid said hello and asked for the time.", through=2, epoch="0")

    epoch: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{1,32}$")]


class ConversationSlice(BaseModel):
    """A part of a history, oldest first. `before` asks for what comes before it; null at the beginning."""

    session_id: str
    history: list[Message]
    total: int
    epoch: str | None
    summary: Summary | None
    before: str | None
    turn: RecordedTurn | None


class SessionInfo(BaseModel):
    """One session of a user, as a list shows it."""

    session_id: str
    created: str
    last_activity: str
    messages: int
    first_words: str


class SessionPage(BaseModel):
    """A user's sessions, newest created first. `before` asks for older ones; null at the end."""

    conversations: list[SessionInfo]
    before: str | None


class ExportedSession(BaseModel):
    """One session with all that is kept of it."""

    session_id: str
    created: str
    summary: Summary | None
    history: list[Message]


class Export(BaseModel):
    """Everything kept about a user; `profile` is null when there is none."""

    user_id: str
    profile: UserMetadata | None
    conversations: list[ExportedSession]


class ErrorBody(BaseModel):
    """The one shape of errors; `detail` says what to do next."""

    detail: str | list[dict[str, object]] = Field(description="what to do next; FastAPI's list in a 422")
    code: str
