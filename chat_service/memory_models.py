"""The shapes of the memory service's responses, as far as this service reads them."""

from pydantic import BaseModel


class ConversationEntry(BaseModel):
    """One stored message of a session."""

    role: str
    content: str
    timestamp: str = ""
    turn_id: str | None = None
    stopped: bool = False
    """The user stopped the model, so the reply is what it had said until then."""


class Fact(BaseModel):
    """A stored fact about a user."""

    fact_id: str
    text: str
    created_at: str | None = None
    session_id: str | None = None


class FactList(BaseModel):
    """A user's facts, oldest first."""

    facts: list[Fact]


class Profile(BaseModel):
    """The stored profile of a user, with the facts if they were requested."""

    name: str
    preferred_style: str
    goal: str
    facts: list[Fact] = []

    @classmethod
    def default(cls, user_id: str) -> "Profile":
        """The tutorial's profile of a user without one."""
        return cls(name=user_id, preferred_style="casual", goal="chat")

    def with_name(self, user_id: str, name: str) -> "Profile":
        """The profile with this name instead of the user id, which is the name in the tutorial's default profile."""
        return self if self.name != user_id else self.model_copy(update={"name": name})


class Summary(BaseModel):
    """A session's summary. It covers the first `through` messages. Without a text the user removed it."""

    text: str
    through: int


NO_SUMMARY = Summary(text="", through=0)
"""What stands for the summary of a session that has none, where summaries are compared."""


class MemoryHealth(BaseModel):
    """The memory service's report that it can work."""

    status: str


class RecordedTurn(BaseModel):
    """A turn that the memory service has stored."""

    turn_id: str
    seq: int
    entries: list[ConversationEntry]

    def last_entry(self, role: str) -> ConversationEntry | None:
        """The turn's last entry with this role."""
        return next((entry for entry in reversed(self.entries) if entry.role == role), None)

    @property
    def is_complete(self) -> bool:
        """Whether it has a message of the user and a reply."""
        return self.last_entry("user") is not None and self.last_entry("assistant") is not None


class AppendedTurn(RecordedTurn):
    """The memory service's response to an append.

    `summarized` is how many of the session's messages its summary covers; None if the memory service is older.
    """

    total: int
    epoch: str | None = None
    summarized: int | None = None


class Conversation(BaseModel):
    """Consecutive messages of a session, oldest first.

    `total` is the session's number of messages, `before` the cursor of the page before these messages, `turn` the
    turn that the request asked for.
    """

    history: list[ConversationEntry]
    total: int | None = None
    epoch: str | None = None
    summary: Summary | None = None
    before: str | None = None
    turn: RecordedTurn | None = None

    @property
    def length(self) -> int:
        """The session's number of messages."""
        return len(self.history) if self.total is None else self.total

    @property
    def summarized(self) -> int:
        """How many messages, counted from the session's start, the summary covers."""
        return self.summary.through if self.summary else 0

    @property
    def uncovered(self) -> list[ConversationEntry]:
        """Those of these messages that the summary does not cover."""
        count = max(0, self.length - self.summarized)
        return self.history[-count:] if count else []


class ListedSession(BaseModel):
    """One session in a user's list."""

    session_id: str
    created: str
    last_activity: str
    messages: int
    first_words: str


class SessionList(BaseModel):
    """Some of a user's sessions. `before` is the cursor of the next ones; `damaged` has the ids of unreadable ones."""

    conversations: list[ListedSession]
    before: str | None
    damaged: list[str] = []


class Recollection(BaseModel):
    """What a turn needs of memory, in one response."""

    memories: Profile
    conversation: Conversation


class CallerRule(BaseModel):
    """Whom the memory service lets in. An older memory service does not say it."""

    app_token_required: bool = False
