"""The shapes of this service's own API."""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl, JsonValue, model_validator

MAX_TEXT_CHARS = 16_000
"""Longest message text, in characters. With its reply it fits into a context window and into one stored entry."""
MAX_ID_CHARS = 128
"""Longest id, in characters. The memory service has the same limit."""
MAX_RENDERED_TEXTS = 100
"""Largest number of texts that one request renders. The page shows 50 messages at a time."""
MAX_RENDERED_TOTAL_CHARS = 64_000
"""Longest texts that one request renders, in characters, all together. The worst take two seconds in a thread."""
MAX_TAGS = 100
"""Largest number of tags of a message. Far more than a client needs, so that validation stays fast."""
MAX_TAG_CHARS = 200
"""Longest tag, in characters. Tags are short labels."""

_ID_CHARACTER = r"[^/\\?#%:|\s\x00-\x1f\x7f-\x9f\ufffd]"
"""A character that is safe in a path through Dapr and in a Dapr key. U+FFFD stands for bytes that are not UTF-8."""
_NOT_DOT = _ID_CHARACTER.replace("[^", "[^.")
ID_PATTERN = rf"^(?:{_NOT_DOT}{_ID_CHARACTER}*|\.{_NOT_DOT}{_ID_CHARACTER}*|\.\.{_ID_CHARACTER}+)$"
"""Any id except `.` and `..`, which a path would resolve. Written without lookahead, which JSON Schema tools lack."""
_NOT_BLANK = r"[^\s\u001c-\u001f\u0085]"
"""What a text must have, as OpenAPI says it. `str.strip` takes away more than the `\\s` of a pattern in JavaScript."""
_ID = re.compile(ID_PATTERN)


def is_id(text: str) -> bool:
    """Whether the text may be used as an id."""
    return len(text) <= MAX_ID_CHARS and _ID.fullmatch(text) is not None


def _checked_id(value: str) -> str:
    if _ID.fullmatch(value) is None:
        raise ValueError("an id has no / \\ ? # % : | and no blank or control characters, and is not . or ..")
    return value


Id = Annotated[
    str,
    Field(min_length=1, max_length=MAX_ID_CHARS, json_schema_extra={"pattern": ID_PATTERN}),
    AfterValidator(_checked_id),
]
Tag = Annotated[str, Field(max_length=MAX_TAG_CHARS)]
HistoryState = Literal["saved", "pending", "not_saved", "unknown"]
MemoryState = Literal["ok", "unavailable"]


def _example(**fields: JsonValue) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [dict(fields)]})


def now() -> str:
    """The current time as the API writes it: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat()


class MessageMetadata(BaseModel):
    """The metadata of a request. A client may send back the metadata of an earlier reply unchanged."""

    timestamp: str | None = Field(default=None, max_length=64)
    session_id: Id | Literal[""] | None = Field(
        default=None,
        description="The session to continue. If it is missing, or empty as in the tutorial, a new session starts.",
    )


class Message(BaseModel):
    """One message of a user to the agent."""

    model_config = _example(user_id="junaid", text="Hello", tags=["greeting"])

    user_id: Id | None = Field(
        default=None,
        description="The user. With identity on it is the token's user and can be left out; any other gets 403.",
    )
    text: str = Field(max_length=MAX_TEXT_CHARS, json_schema_extra={"pattern": _NOT_BLANK})
    metadata: MessageMetadata | None = None
    tags: list[Tag] = Field(default=[], max_length=MAX_TAGS)
    callback_url: HttpUrl | None = Field(
        default=None,
        description="Receives a POST once it is known whether the turn is saved; the reply does not wait for it. "
        "If the process is killed before, there is no POST: ask again with the same Idempotency-Key.",
    )


class Metadata(BaseModel):
    """The metadata of a reply."""

    timestamp: str
    session_id: str
    history: HistoryState = Field(
        description="Whether the turn is in the session's history.\n"
        "- `saved`: it is, once and whole.\n"
        "- `pending`: the save was still running when the reply was sent, because the request has a `callback_url`. "
        "The callback reports the outcome; if the process is killed before, no callback comes.\n"
        "- `not_saved`: it is certain that it is not. `code` says why.\n"
        "- `unknown`: the save was sent, but its outcome did not arrive in time. `code` says why.\n\n"
        "After `pending` without a callback, `not_saved` and `unknown`, ask again with the same Idempotency-Key: the "
        "response has the recorded reply if the turn was saved. Else the reply is saved now if this process still has "
        "it (for ten minutes, one of the newest hundred), and otherwise the turn runs once more. Without a key read "
        "the session's history first."
    )
    memory: MemoryState
    model: str
    turn_id: str
    code: str | None = Field(default=None, description="Why the turn was not saved, or why it is unknown.")
    finish: str | None = Field(
        default=None,
        description="Why the model ended the reply: `stop`, or `length` (cut off at its limit), `content_filter` "
        "(cut off by a filter) or another word of the endpoint's. Missing if the model did not say, and in a "
        "repeated reply of a turn that another process ran.",
    )
    stopped: Literal[True] | None = Field(
        default=None,
        description="`true`: the user stopped the model, and the reply is what it had said until then. It is stored.",
    )
    context: Literal["reduced"] | None = Field(
        default=None,
        description="`reduced`: the model refused the usual context as too long, and the reply was made with less. "
        "The operator should lower CONTEXT_BUDGET_CHARS.",
    )
    summary_lag: int | None = Field(
        default=None, description="Number of earlier messages that are in neither the summary nor the model's context."
    )


class Response(BaseModel):
    """The agent's reply."""

    model_config = _example(
        user_id="junaid",
        reply="Hello Junaid, how may I help you today?",
        metadata={
            "timestamp": "2026-01-01T12:00:00+00:00",
            "session_id": "session-1",
            "history": "saved",
            "memory": "ok",
            "model": "offline",
            "turn_id": "turn-1",
            "finish": "stop",
        },
    )

    user_id: str
    reply: str
    metadata: Metadata


class Stop(BaseModel):
    """Which turn to stop: the user and the session that its request named, beside its Idempotency-Key."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user_id": "junaid", "session_id": "session-1"}]})

    user_id: Id | None = Field(
        default=None,
        description="The user. With identity on it is the token's user and can be left out; any other gets 403.",
    )
    session_id: Id | Literal[""] | None = Field(
        default=None, description="The session that the turn's request named. Missing if it named none."
    )


class StreamedDelta(BaseModel):
    """The data of a `delta` event."""

    text: str


class StreamedToolCall(BaseModel):
    """The data of a `tool` event. `arguments` is the model's JSON."""

    name: str
    arguments: str


class ErrorBody(BaseModel):
    """The body of every error."""

    model_config = _example(detail="The turn took too long: try again, or ask for less at once.", code="turn_timeout")

    detail: str
    code: str


class InvalidField(BaseModel):
    """One reason why a request is not valid."""

    loc: list[str | int]
    msg: str
    type: str


class InvalidRequestBody(BaseModel):
    """The body of a 422: FastAPI's list of invalid fields, or one sentence."""

    model_config = _example(
        detail=[{"loc": ["body", "text"], "msg": "Field required", "type": "missing"}], code="invalid_request"
    )

    detail: list[InvalidField] | str
    code: str


class Welcome(BaseModel):
    """The tutorial's greeting."""

    model_config = _example(message="Welcome to the DACA Chat Service! Access /docs for the API documentation.")

    message: str


class WhoAmI(BaseModel):
    """The user of a request. With identity off there is none: each request names its user."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"identity": "off", "user_id": None, "name": None}]})

    identity: Literal["on", "off"]
    user_id: str | None = None
    name: str | None = None


class Texts(BaseModel):
    """Markdown texts to render, one after the other."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"texts": ["**Hello** Junaid"]}]})

    texts: list[Annotated[str, Field(max_length=MAX_RENDERED_TOTAL_CHARS)]] = Field(max_length=MAX_RENDERED_TEXTS)

    @model_validator(mode="after")
    def _is_short(self) -> "Texts":
        if sum(map(len, self.texts)) > MAX_RENDERED_TOTAL_CHARS:
            raise ValueError(f"all texts together may have {MAX_RENDERED_TOTAL_CHARS} characters: send them in parts")
        return self


class Rendered(BaseModel):
    """The HTML of each text; null for a text that is too long to be rendered."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"html": ["<p><strong>Hello</strong> Junaid</p>\n"]}]})

    html: list[str | None]


class Status(BaseModel):
    """The state of a healthy service."""

    model_config = _example(status="ok")

    status: str
