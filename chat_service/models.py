"""The shapes of the API, of the memory service's answers, and of a turn on its way."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl

MAX_TEXT_CHARS = 16_000  # with its reply such a message still fits in a context window and in one stored entry
MAX_TAGS = 100
MAX_TAG_CHARS = 200
_ID_CHARACTER = r"[^/\\?#%:|\s\x00-\x1f\x7f-\x9f]"  # what survives a path through Dapr and a Dapr key
_NOT_DOT = _ID_CHARACTER.replace("[^", "[^.")
ID_PATTERN = rf"^(?:{_NOT_DOT}{_ID_CHARACTER}*|\.{_NOT_DOT}{_ID_CHARACTER}*|\.\.{_ID_CHARACTER}+)$"  # not . or ..
_ID = re.compile(ID_PATTERN)


def _checked_id(value: str) -> str:
    if _ID.fullmatch(value) is None:
        raise ValueError("an id has no / \\ ? # % : | and no blank or control characters, and is not . or ..")
    return value


Id = Annotated[
    str,
    Field(min_length=1, max_length=128, json_schema_extra={"pattern": ID_PATTERN}),
    AfterValidator(_checked_id),
]
Tag = Annotated[str, Field(max_length=MAX_TAG_CHARS)]
HistoryState = Literal["saved", "pending", "not_saved"]
MemoryState = Literal["ok", "unavailable"]


def now() -> str:
    """The present moment as the API writes it: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat()


class MessageMetadata(BaseModel):
    """What a request may say about itself; the metadata of an earlier reply can be sent back as it is."""

    timestamp: str | None = Field(default=None, max_length=64)
    session_id: Id | Literal[""] | None = Field(
        default=None,
        description="The session to go on with; without it, or empty as in the tutorial, a new one begins.",
    )


class Message(BaseModel):
    """One message of a user to the agent."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user_id": "junaid", "text": "Hello", "tags": ["greeting"]}]}
    )

    user_id: Id
    text: str = Field(max_length=MAX_TEXT_CHARS, json_schema_extra={"pattern": r"\S"})
    metadata: MessageMetadata | None = None
    tags: list[Tag] = Field(default=[], max_length=MAX_TAGS)
    callback_url: HttpUrl | None = Field(
        default=None,
        description="Told by a POST when the turn is saved or has failed to be; the reply does not wait for the save.",
    )


class Metadata(BaseModel):
    """What a reply says about itself."""

    timestamp: str
    session_id: str
    history: HistoryState
    memory: MemoryState
    model: str
    turn_id: str
    code: str | None = Field(default=None, description="Why the turn was not saved.")
    summary_lag: int | None = Field(
        default=None, description="Earlier messages that neither the summary nor the model's context holds yet."
    )


class Response(BaseModel):
    """The agent's reply."""

    user_id: str
    reply: str
    metadata: Metadata


class ConversationEntry(BaseModel):
    """One message of a session as the memory service keeps it."""

    role: str
    content: str
    timestamp: str = ""
    turn_id: str | None = None


class Profile(BaseModel):
    """What the memory service knows of a user."""

    name: str
    preferred_style: str
    goal: str

    @classmethod
    def unknown(cls, user_id: str) -> "Profile":
        """The tutorial's defaults."""
        return cls(name=user_id, preferred_style="casual", goal="chat")


class Summary(BaseModel):
    """A session's summary and how many messages from its beginning it covers."""

    text: str
    through: int


class RecordedTurn(BaseModel):
    """A turn that the memory service holds."""

    turn_id: str
    seq: int
    entries: list[ConversationEntry]

    def said_by(self, role: str) -> ConversationEntry | None:
        """The turn's last entry of `role`."""
        return next((entry for entry in reversed(self.entries) if entry.role == role), None)


class Conversation(BaseModel):
    """The newest messages of a session, oldest first, with where they stand in it."""

    history: list[ConversationEntry]
    total: int | None = None
    epoch: str | None = None
    summary: Summary | None = None
    before: str | None = None
    turn: RecordedTurn | None = None

    @property
    def length(self) -> int:
        """How many messages the session has."""
        return len(self.history) if self.total is None else self.total


class AppendedTurn(RecordedTurn):
    """The memory service's answer to an append."""

    total: int
    epoch: str | None = None


class ErrorBody(BaseModel):
    """Every error's shape."""

    detail: str
    code: str


class InvalidField(BaseModel):
    """One reason why a request was not understood."""

    loc: list[str | int]
    msg: str
    type: str


class InvalidRequestBody(BaseModel):
    """A request that was not understood: FastAPI's list, or one sentence."""

    detail: list[InvalidField] | str
    code: str


@dataclass(frozen=True)
class TurnRequest:
    """A message on its way: whose, in which session, under which turn id."""

    user_id: str
    session_id: str
    turn_id: str
    text: str
    received_at: str
    is_new_session: bool
    is_repeatable: bool
    """An Idempotency-Key gave the turn its id: it may have been recorded before."""
    callback_url: str | None = None


@dataclass(frozen=True)
class Delta:
    """A piece of the reply, as the model gave it."""

    text: str


@dataclass(frozen=True)
class ToolCall:
    """The model called a tool."""

    name: str
    arguments: str


Progress = Delta | ToolCall


class StreamedDelta(BaseModel):
    """The data of a `delta` event."""

    text: str


class StreamedToolCall(BaseModel):
    """The data of a `tool` event; `arguments` is the JSON that the model gave."""

    name: str
    arguments: str


class Welcome(BaseModel):
    """The tutorial's greeting."""

    message: str


class Status(BaseModel):
    """A good state of health."""

    status: str
