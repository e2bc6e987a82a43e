"""The shapes of the API's routes about what is stored of a user: sessions, messages, the profile, facts."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, StringConstraints

from models import Id

NOT_BLANK = r"[^\s\u0085]"
"""What a text must have, as OpenAPI says it. JavaScript's `\\s` lacks U+0085, which is blank too."""
MAX_FACT_CHARS = 300
"""Longest fact, in characters. The memory service has the same limit."""
MAX_PROFILE_FIELD_CHARS = 2_000
"""Longest field of a profile, in characters. The memory service has the same limit."""
MAX_SUMMARY_CHARS = 4_000
"""Longest corrected summary, in characters: the model is given no more of one."""
MAX_PAGE_SESSIONS = 100
"""Most sessions in one page. The memory service has the same limit: it reads the head of each."""
MAX_PAGE_MESSAGES = 60
"""Most messages in one page. Even the longest ones fit into the longest response that is read of the memory service."""


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
SUMMARY: dict[str, JsonValue] = {"text": "Junaid said hello.", "through": 2}
"""The parts of the examples in the API's description."""

FactText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_FACT_CHARS),
    Field(json_schema_extra={"pattern": NOT_BLANK}),
]
SummaryText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_SUMMARY_CHARS),
    Field(json_schema_extra={"pattern": NOT_BLANK}),
]
ProfileField = Annotated[str, StringConstraints(max_length=MAX_PROFILE_FIELD_CHARS)]


class SessionInfo(BaseModel):
    """One session in a user's list. `title` has the first words of the first message."""

    session_id: str
    created_at: str
    updated_at: str
    messages: int
    title: str


class SessionPage(BaseModel):
    """Some of a user's sessions, by latest activity. `before` requests the next ones; null at the end."""

    model_config = _example(
        sessions=[{"session_id": "session-1", "created_at": WHEN, "updated_at": WHEN, "messages": 2, "title": "Hello"}],
        before=None,
    )

    sessions: list[SessionInfo]
    before: str | None
    damaged: list[str] = Field(
        default=[],
        exclude_if=lambda damaged: not damaged,
        description="sessions among them that cannot be read; absent if there are none",
    )


class StoredMessage(BaseModel):
    """One message of a session. `turn_id` is null if the tutorial's code stored it."""

    role: str
    content: str
    timestamp: str
    turn_id: str | None
    stopped: bool = Field(
        default=False,
        exclude_if=lambda stopped: not stopped,
        description="The user stopped this reply, and it ends where it was. Left out if not.",
    )


class SessionSummary(BaseModel):
    """A summary of the session's first `through` messages. An empty `text`: it was removed."""

    model_config = _example(**SUMMARY)

    text: str
    through: int


def _not_guessed(value: object) -> object:
    """Refuse a flag and a text, of which pydantic would make a number. JSON's 2.0 is an integer: it stays."""
    if isinstance(value, bool | str):
        raise ValueError("Input should be a valid integer")  # noqa: TRY004 - pydantic reports a ValueError
    return value


Through = Annotated[int, Field(ge=0, le=2**53), BeforeValidator(_not_guessed)]
"""How many messages a summary covers, counted from the session's first."""


class SummaryChange(BaseModel):
    """The new text of a summary. `through` is that of the summary which is corrected."""

    model_config = _example(**SUMMARY)

    text: SummaryText
    through: Through


class MessagePage(BaseModel):
    """Some of a session's messages, oldest first. `before` requests the page before them; null at the beginning.

    A session that does not exist has none.
    """

    model_config = _example(
        session_id="session-1",
        messages=[
            {"role": "user", "content": "Hello", "timestamp": WHEN, "turn_id": "turn-1"},
            {"role": "assistant", "content": "Hello Junaid.", "timestamp": WHEN, "turn_id": "turn-1"},
        ],
        total=2,
        before=None,
        summary=SUMMARY,
    )

    session_id: str
    messages: list[StoredMessage]
    total: int
    before: str | None
    summary: SessionSummary | None


class UserProfile(BaseModel):
    """What the agent is told about a user in every turn."""

    model_config = _example(**PROFILE)

    name: str
    preferred_style: str
    goal: str


class ProfileChange(BaseModel):
    """The fields of a profile to change. The others stay as they are."""

    model_config = _example(goal="learn Dapr") | ConfigDict(extra="forbid")

    name: ProfileField | None = None
    preferred_style: ProfileField | None = None
    goal: ProfileField | None = None


class UserFact(BaseModel):
    """A fact about a user that outlives its session; `session_id` says in which session it came."""

    model_config = _example(**FACT)

    fact_id: str
    text: str
    created_at: str | None
    session_id: str | None


class FactsOfUser(BaseModel):
    """A user's facts, oldest first."""

    model_config = _example(facts=[FACT])

    facts: list[UserFact]


class NewFact(BaseModel):
    """A fact to remember. The same text is kept once, without regard to case and blanks."""

    model_config = _example(text="Likes tea")

    text: FactText
    session_id: Id | None = None


class ExportedSession(BaseModel):
    """One session with everything that is stored of it."""

    session_id: str
    created: str
    summary: SessionSummary | None
    history: list[StoredMessage]


class UserExport(BaseModel):
    """Everything that is stored of a user, as the memory service gives it; `profile` is null if there is none."""

    model_config = _example(
        user_id="junaid",
        profile=PROFILE,
        facts=[FACT],
        conversations=[
            {
                "session_id": "session-1",
                "created": WHEN,
                "summary": None,
                "history": [{"role": "user", "content": "Hello", "timestamp": WHEN, "turn_id": "turn-1"}],
            }
        ],
    )

    user_id: str
    profile: UserProfile | None
    facts: list[UserFact]
    conversations: list[ExportedSession]
    damaged: list[str] = Field(default=[], description="sessions that cannot be read whole; absent if there are none")


class FactChange(BaseModel):
    """The new text of a fact."""

    model_config = _example(text="Likes green tea")

    text: FactText
