"""What each of two people may do with the session of one of them, by route. `docs/identity.md` shows this table."""

from dataclasses import dataclass, field
from typing import Literal

Target = Literal["chat", "memory"]


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of request, and the statuses that Ada, to whom the session belongs, Bob, and an unknown caller get.

    `path` and `body` may hold names in braces: session and its epoch, derived (the session of Ada's key), free (a
    session that the tutorial's code wrote, without an owner) and its epoch free_epoch, ada and bob (user ids), and me
    (the caller's user id). To the chat service the callers show their tokens. To the memory service, which is called as
    the chat service calls it, `me` is the user in whose name the chat service calls; the unknown caller has no
    APP_API_TOKEN.
    """

    what: str
    target: Target
    method: str
    path: str
    statuses: tuple[int, int, int]
    body: dict[str, object] | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def markdown(self) -> str:
        """The row of the table in the docs."""
        return " | ".join(["", f"`{self.method} {self.route}`", self.what, *map(str, self.statuses), ""]).strip()

    @property
    def route(self) -> str:
        """The path as OpenAPI writes it."""
        return (
            self.path.partition("?")[0]
            .replace("{session}", "{session_id}")
            .replace("{free}", "{session_id}")
            .replace("{me}", "{user_id}")
        )


KEY = {"Idempotency-Key": "the-key"}
TEXT = "Hello"


def _turn(path: str) -> list[Row]:
    """A message in every way in which it can touch Ada's session or her stored reply."""

    def row(what: str, statuses: tuple[int, int, int], headers: dict[str, str], **body: object) -> Row:
        return Row(what, "chat", "POST", path, statuses, {"text": TEXT, **body}, headers)

    return [
        row("in Ada's session", (200, 403, 401), {}, metadata={"session_id": "{session}"}),
        row("in Ada's session, with her key", (200, 403, 401), KEY, metadata={"session_id": "{session}"}),
        row("in the session of Ada's key", (200, 403, 401), {}, metadata={"session_id": "{derived}"}),
        row("in the session of Ada's key, with the key", (200, 403, 401), KEY, metadata={"session_id": "{derived}"}),
        row("with Ada's key: each gets a reply of their own", (200, 200, 401), KEY),
        row("in a session without an owner", (403, 403, 401), {}, metadata={"session_id": "{free}"}),
        row("as Ada", (200, 403, 401), {}, user_id="{ada}"),
        row(
            "as Ada, in her session",
            (200, 403, 401),
            {},
            user_id="{ada}",
            metadata={"session_id": "{session}"},
        ),
    ]


def _append(turn_id: str) -> dict[str, object]:
    return {"turn_id": turn_id, "user_id": "{me}", "entries": [{"role": "user", "content": "in the name of {me}"}]}


SESSION = "/conversations/{session}"
SUMMARY: dict[str, object] = {"text": "In the name of {me}.", "through": 2, "epoch": "{epoch}"}
OWNED = (200, 403, 401)
FREE = "/conversations/{free}"
OWNERS_ONLY = "user_id={me}&owner_required=true"
FREE_SUMMARY = SUMMARY | {"epoch": "{free_epoch}"}
NOBODYS = (403, 403, 401)

ROWS = [
    *_turn("/chat/"),
    *_turn("/chat/stream"),
    Row("the whole history", "memory", "GET", f"{SESSION}?user_id={{me}}", OWNED),
    Row("the newest messages", "memory", "GET", f"{SESSION}?last=5&user_id={{me}}", OWNED),
    Row("older messages", "memory", "GET", f"{SESSION}?before=1&user_id={{me}}", OWNED),
    Row("a turn by its id", "memory", "GET", f"{SESSION}?turn_id=turn-1&user_id={{me}}", OWNED),
    Row("a new turn", "memory", "POST", f"{SESSION}/turns", (201, 403, 401), _append("turn-2")),
    Row("a turn that Ada has stored", "memory", "POST", f"{SESSION}/turns", OWNED, _append("turn-1")),
    Row("a summary", "memory", "PUT", f"{SESSION}/summary?user_id={{me}}", OWNED, SUMMARY),
    Row("the whole history, of nobody's session", "memory", "GET", f"{FREE}?{OWNERS_ONLY}", NOBODYS),
    Row("the newest messages, of nobody's session", "memory", "GET", f"{FREE}?last=5&{OWNERS_ONLY}", NOBODYS),
    Row(
        "a new turn, in nobody's session",
        "memory",
        "POST",
        f"{FREE}/turns",
        NOBODYS,
        _append("turn-1") | {"owner_required": True},
    ),
    Row("a summary, of nobody's session", "memory", "PUT", f"{FREE}/summary?{OWNERS_ONLY}", NOBODYS, FREE_SUMMARY),
    Row("delete the session", "memory", "DELETE", f"{SESSION}?user_id={{me}}", (204, 403, 401)),
]
"""In this order: the last row deletes the session."""
