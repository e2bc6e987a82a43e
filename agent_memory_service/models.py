"""The bodies and parameters of the memory service's HTTP API. The tutorial's three models are among them."""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from fastapi import Path, Query
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StringConstraints,
    model_validator,
)
from pydantic_core import to_json

import clock
from cursor import CURSOR_PATTERN, Cursor

MAX_ENTRY_BYTES = 120_000
"""Longest JSON of one message, in bytes: the 32 messages of a full head stay below the 4 MiB of a Dapr request."""
MAX_ID_CHARS = 128
"""Longest id, in characters. Ids are parts of keys and paths, which stay short with it."""
MAX_PROFILE_FIELD_CHARS = 2_000
"""Longest field of a profile, in characters: the chat service sends the profile to the model with every turn."""
NOT_BLANK = r"[^\s\u0085]"
"""What a text must have, as OpenAPI says it. JavaScript's `\\s` lacks U+0085, which is blank too."""
MAX_FACT_CHARS = 300
"""Longest fact, in characters: one or two sentences. The facts are read with the profile in every turn."""
MAX_SUMMARY_CHARS = 16_000
"""Longest summary, in characters: as long as the longest text of a user. Every append writes it with the head."""
MAX_RECALLED_MESSAGES = 20
"""Most messages that a turn reads: as many as the head of a session always has, so one call reads them."""
MAX_REPLACE_MESSAGES = 10_000
"""Most messages in one replace. Short messages of that number fit into a Dapr request."""
MAX_TURN_MESSAGES = 12
"""Most messages in one turn: a user's text, a reply, and the results of tools between them."""
MAX_PART_MESSAGES = 1_000
"""Most messages in one part of a history. The whole history is read by the same route without parameters."""
MAX_LISTED_SESSIONS = 100
"""Most sessions in one part of a list: their heads are read in one call."""

# Dapr's paths and keys cannot have `/ ? # %` or the names `.` and `..`; `|` and `:` separate the parts of a key. Bytes
# of a path that are not UTF-8 are decoded to U+FFFD, so ids with it could not be told apart.
_ID_CHARACTER = r"[^/\\?#%:|\s\x00-\x1f\x7f-\x9f\ufffd]"
_NOT_DOT = _ID_CHARACTER.replace("[^", "[^.")
ID_PATTERN = rf"^(?:{_NOT_DOT}{_ID_CHARACTER}*|\.{_NOT_DOT}{_ID_CHARACTER}*|\.\.{_ID_CHARACTER}+)$"
"""What an id may be: the characters that Dapr's paths and this service's keys can have."""

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID_CHARS, pattern=ID_PATTERN)]
SessionId = Annotated[Identifier, Path(examples=["session-1"])]
UserId = Annotated[Identifier, Path(examples=["junaid"])]
UserIdQuery = Annotated[
    Identifier | None, Query(description="refuse if the session belongs to another user", examples=["junaid"])
]
OwnerRequired = Annotated[bool, Query(description="refuse also a session that has no owner")]
MessageCount = Annotated[int | None, Query(ge=1, le=MAX_PART_MESSAGES, examples=[20])]
Text = Annotated[str, StringConstraints(min_length=0)]
"""Text that can be stored. Any constraint makes pydantic refuse lone surrogates, which UTF-8 cannot encode."""
Stopped = Annotated[
    StrictBool,
    Field(
        exclude_if=lambda stopped: not stopped,
        description="the reply was stopped by its user and ends where it was; left out if not",
    ),
]
ProfileField = Annotated[str, StringConstraints(max_length=MAX_PROFILE_FIELD_CHARS)]
FactId = Annotated[Identifier, Path(examples=["9f86d081884c7d65"])]
FactText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_FACT_CHARS),
    Field(json_schema_extra={"pattern": NOT_BLANK}),
]


def _example(**fields: JsonValue) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [dict(fields)]})


WHEN = "2026-01-01T12:00:00+00:00"
PROFILE: dict[str, JsonValue] = {"name": "Junaid", "preferred_style": "formal", "goal": "schedule tasks"}
FACT: dict[str, JsonValue] = {
    "fact_id": "9f86d081884c7d65",
    "text": "Likes tea",
    "created_at": WHEN,
    "session_id": "session-1",
}
MESSAGES: list[JsonValue] = [
    {"role": "user", "content": "Hello", "timestamp": WHEN},
    {"role": "assistant", "content": "Hello Junaid.", "timestamp": WHEN},
]
TURN_MESSAGES: list[JsonValue] = [{**message, "turn_id": "turn-1"} for message in MESSAGES if isinstance(message, dict)]
SUMMARY: dict[str, JsonValue] = {"text": "Junaid said hello and asked for the time.", "through": 2}
"""The parts of the examples in the API's description."""


def now() -> str:
    """Return the current time in UTC as ISO 8601, the tutorial's form."""
    return datetime.fromtimestamp(clock.now(), UTC).isoformat()


class PartQuery(BaseModel):
    """The parameter that continues a part read before."""

    before: Annotated[
        Annotated[str, StringConstraints(pattern=CURSOR_PATTERN)] | None,
        Query(description="`before` of the last part", examples=["9"]),
    ] = None

    @property
    def cursor(self) -> Cursor | None:
        """Where the part ends; None: at the newest entry."""
        return Cursor.parse(self.before) if self.before else None


class ConversationQuery(PartQuery):
    """Which part of a history to read. Without parameters: all of it."""

    last: MessageCount = None
    limit: MessageCount = None
    user_id: UserIdQuery = None
    owner_required: OwnerRequired = False
    turn_id: Annotated[
        Identifier | None, Query(description="also return this turn, if it is remembered", examples=["turn-1"])
    ] = None

    @property
    def is_whole(self) -> bool:
        """Whether the whole history is requested."""
        return (self.last, self.before, self.limit, self.turn_id) == (None,) * 4

    @property
    def count(self) -> int | None:
        """The most messages of the part: `limit` before a cursor, `last` without one."""
        return (self.limit or self.last) if self.before else (self.last or self.limit)


class RecallQuery(BaseModel):
    """What a turn needs to know: its session, how many of the newest messages, and the turn's own id for a repeat."""

    session_id: Annotated[Identifier, Query(examples=["session-1"])]
    last: Annotated[int, Query(ge=1, le=MAX_RECALLED_MESSAGES)] = MAX_RECALLED_MESSAGES
    owner_required: OwnerRequired = False
    turn_id: Annotated[
        Identifier | None, Query(description="also return this turn, if it is remembered", examples=["turn-1"])
    ] = None


class MemoriesQuery(BaseModel):
    """What to read of a user besides the profile."""

    facts: Annotated[bool, Query(description="also return the facts")] = False
    new_session_id: Annotated[
        Identifier | None,
        Query(description="a session whose first turn will follow: its append takes less time", examples=["session-1"]),
    ] = None


class SessionsQuery(PartQuery):
    """Which part of a list of sessions to read."""

    limit: Annotated[int, Query(ge=1, le=MAX_LISTED_SESSIONS)] = 20
    order: Annotated[
        Literal["created", "activity"],
        Query(description="`created`: the newest first. `activity`: the one with the latest activity first."),
    ] = "created"


class UserMetadata(BaseModel):
    """A user's profile."""

    model_config = _example(**PROFILE)

    name: str
    preferred_style: str
    goal: str


class NewProfile(UserMetadata):
    """A profile to store."""

    model_config = _example(**PROFILE)

    name: ProfileField
    preferred_style: ProfileField
    goal: ProfileField


class ConversationEntry(BaseModel):
    """One message; `timestamp` is ISO 8601. The default is the time of arrival."""

    role: str
    content: str
    timestamp: str = Field(default_factory=now)


class NewEntry(ConversationEntry):
    """One message to store."""

    role: Text
    content: Text
    timestamp: Text = Field(default_factory=now)

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        # One character takes at most six bytes of JSON, so the size of most messages need not be counted.
        length = len(self.role) + len(self.content) + len(self.timestamp)
        if length * 6 > MAX_ENTRY_BYTES and len(to_json(self, exclude={"stopped"})) > MAX_ENTRY_BYTES:
            raise ValueError(f"the JSON of a message may have {MAX_ENTRY_BYTES} bytes; shorten it or split it")
        return self


class ConversationHistory(BaseModel):
    """A whole history, oldest message first."""

    model_config = _example(history=MESSAGES)

    history: list[ConversationEntry] = []


class NewHistory(BaseModel):
    """A history that replaces the stored one."""

    model_config = _example(history=[{"role": "user", "content": "Hello", "timestamp": "2026-01-01T12:00:00+00:00"}])

    history: Annotated[list[NewEntry], Field(max_length=MAX_REPLACE_MESSAGES, fail_fast=True)] = []


class ProfileChange(BaseModel):
    """The fields of a profile to change. The others stay as they are."""

    model_config = _example(goal="learn Dapr") | ConfigDict(extra="forbid")

    name: ProfileField | None = None
    preferred_style: ProfileField | None = None
    goal: ProfileField | None = None

    @model_validator(mode="before")
    @classmethod
    def _stop_at_the_first_unknown_field(cls, fields: object) -> object:
        """Leave out all unknown fields but the first: pydantic would report each one, and a body may have 400,000."""
        if not isinstance(fields, dict):
            return fields
        first_unknown = next((name for name in fields if name not in cls.model_fields), None)
        return {name: value for name, value in fields.items() if name in cls.model_fields or name == first_unknown}


class NewTurnEntry(NewEntry):
    """One message of a turn to append."""

    stopped: Stopped = False


class Fact(BaseModel):
    """A fact about a user that outlives its session; `session_id` says in which session it came."""

    model_config = _example(**FACT)

    fact_id: str
    text: str
    created_at: str | None = None
    session_id: str | None = None


class NewFact(BaseModel):
    """A fact to store. The same text is stored once, without regard to case and blanks."""

    model_config = _example(text="Likes tea", session_id="session-1")

    text: FactText
    session_id: Identifier | None = None


class FactChange(BaseModel):
    """The new text of a fact."""

    model_config = _example(text="Likes green tea")

    text: FactText


class FactList(BaseModel):
    """A user's facts, oldest first."""

    model_config = _example(facts=[FACT])

    facts: list[Fact]


class UserMemories(UserMetadata, FactList):
    """A user's profile and facts: what a turn needs of a user, in one read."""

    model_config = _example(**PROFILE, facts=[FACT])


class NewTurn(BaseModel):
    """One turn to append. A request with the same `turn_id` repeats it and never adds a second turn."""

    model_config = _example(
        turn_id="turn-1",
        user_id="junaid",
        entries=[{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello Junaid."}],
    )

    turn_id: Identifier
    user_id: Identifier
    owner_required: StrictBool = Field(default=False, description="do not claim a session that has no owner")
    entries: Annotated[list[NewTurnEntry], Field(min_length=1, max_length=MAX_TURN_MESSAGES, fail_fast=True)]


class Message(ConversationEntry):
    """A stored message; `turn_id` names its turn. It is null if the tutorial's POST wrote the message."""

    turn_id: str | None = None
    stopped: Stopped = False


class RecordedTurn(BaseModel):
    """A stored turn; `seq` is the number of its first message in the session, counted from 0."""

    turn_id: str
    seq: int
    entries: list[Message]


class AppendedTurn(RecordedTurn):
    """The response to an append; `total` is the number of messages in the session, `summarized` how many of them its
    summary covers."""

    model_config = _example(
        session_id="session-1",
        turn_id="turn-1",
        seq=0,
        entries=TURN_MESSAGES,
        epoch="5f9f100590d41515",
        total=2,
        summarized=0,
    )

    session_id: str
    epoch: str
    total: int
    summarized: int


def _not_guessed(value: object) -> object:
    """Refuse a flag and a text, of which pydantic would make a number. JSON's 2.0 is an integer: it stays."""
    if isinstance(value, bool | str):
        raise ValueError("Input should be a valid integer")  # noqa: TRY004 - pydantic reports a ValueError
    return value


Through = Annotated[int, Field(ge=0, le=2**53), BeforeValidator(_not_guessed)]
"""How many messages a summary covers, counted from the session's first."""


class Summary(BaseModel):
    """A summary of the first `through` messages."""

    model_config = _example(**SUMMARY)

    text: Annotated[str, StringConstraints(max_length=MAX_SUMMARY_CHARS)]
    through: Through


class SummaryOffer(Summary):
    """A summary to store; `epoch` comes from the read of the summarized messages. An empty text removes the summary."""

    model_config = _example(
        text="Junaid said hello and asked for the time.", through=2, epoch="0", previous={"text": "", "through": 0}
    )

    epoch: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{1,32}$")]
    previous: Summary | None = Field(
        default=None,
        description="the summary that this one was made from; without one, an empty text through 0. If another is "
        "stored now, the response is 409. Left out: not compared",
    )


class ConversationSlice(BaseModel):
    """A part of a history, oldest message first. `before` requests the part before it; null at the beginning."""

    model_config = _example(
        session_id="session-1",
        history=TURN_MESSAGES,
        total=2,
        epoch="5f9f100590d41515",
        summary=SUMMARY,
        before=None,
        turn=None,
    )

    session_id: str
    history: list[Message]
    total: int
    epoch: str | None
    summary: Summary | None
    before: str | None
    turn: RecordedTurn | None


class Recollection(BaseModel):
    """What a turn needs of memory, in one read: the user's profile and facts, and the session's newest messages."""

    model_config = _example(
        memories={**PROFILE, "facts": [FACT]},
        conversation={"session_id": "session-1", "history": TURN_MESSAGES, "total": 2, "epoch": "5f9f100590d41515"},
    )

    memories: UserMemories
    conversation: ConversationSlice


class SessionInfo(BaseModel):
    """One session in a user's list."""

    session_id: str
    created: str
    last_activity: str
    messages: int
    first_words: str


class SessionPage(BaseModel):
    """A user's sessions in the requested order. `before` requests the next ones; null at the end."""

    model_config = _example(
        conversations=[
            {
                "session_id": "session-1",
                "created": WHEN,
                "last_activity": WHEN,
                "messages": 2,
                "first_words": "Hello",
            }
        ],
        before=None,
    )

    conversations: list[SessionInfo]
    before: str | None
    damaged: list[str] = Field(
        default=[],
        exclude_if=lambda damaged: not damaged,
        description="sessions among them that cannot be read; absent if there are none",
    )


class ExportedSession(BaseModel):
    """One session with everything that is stored of it."""

    session_id: str
    created: str
    summary: Summary | None
    history: list[Message]


class Export(BaseModel):
    """Everything that is stored of a user; `profile` is null if there is none."""

    model_config = _example(
        user_id="junaid",
        profile=PROFILE,
        facts=[FACT],
        conversations=[{"session_id": "session-1", "created": WHEN, "summary": SUMMARY, "history": TURN_MESSAGES}],
    )

    user_id: str
    profile: UserMetadata | None
    facts: list[Fact]
    conversations: list[ExportedSession]
    damaged: list[str] = Field(default=[], description="sessions that cannot be read whole; absent if there are none")


class ErrorBody(BaseModel):
    """The body of every error; `detail` says what to do next."""

    model_config = _example(
        detail="The state store does not respond. Repeat the request; repeating is always safe.",
        code="store_unavailable",
    )

    detail: str | list[dict[str, object]] = Field(
        description="what to do next; in a 422, FastAPI's list of invalid fields"
    )
    code: str
