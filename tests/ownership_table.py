"""What each of two people may do with the session of one of them, by route. `docs/identity.md` shows this table."""

from dataclasses import dataclass, field
from typing import Literal

Target = Literal["chat", "memory"]


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of request, and the statuses that Ada, to whom the session belongs, Bob, and an unknown caller get.

    `path` and `body` may hold names in braces: session and its epoch, derived (the session of Ada's key), free (a
    session that the tutorial's code wrote, without an owner) and its epoch free_epoch, fact (a fact of Ada's), ada and
    bob (user ids), and me (the caller's user id). To the chat service the callers show their tokens. To the memory
    service, which is called as the chat service calls it, `me` is the user in whose name the chat service calls; the
    unknown caller has no APP_API_TOKEN.
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
        path = self.path.partition("?")[0]
        for name, parameter in _PARAMETERS.items():
            path = path.replace(f"{{{name}}}", f"{{{parameter}}}")
        return path


_PARAMETERS = {
    **dict.fromkeys(("session", "derived", "free"), "session_id"),
    **dict.fromkeys(("me", "ada"), "user_id"),
    "fact": "fact_id",
}
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


def _of_ada(what: str, method: str, path: str, ada: int = 200, **body: object) -> Row:
    """A request for something of Ada's, in the path."""
    return Row(what, "chat", method, f"/users/{{ada}}{path}", (ada, 403, 401), body or None)


SESSION = "/conversations/{session}"
SUMMARY: dict[str, object] = {"text": "In the name of {me}.", "through": 2, "epoch": "{epoch}"}
CORRECTION: dict[str, object] = {"text": "In the name of a caller.", "through": 2}
OWNED = (200, 403, 401)
RECALL = "/memories/{me}/recall?session_id="
FREE = "/conversations/{free}"
OWNERS_ONLY = "user_id={me}&owner_required=true"
FREE_SUMMARY = SUMMARY | {"epoch": "{free_epoch}"}
NOBODYS = (403, 403, 401)

STOP = "/chat/stop"

ROWS = [
    *_turn("/chat/"),
    *_turn("/chat/stream"),
    Row("a turn of the caller's own that does not run", "chat", "POST", STOP, (404, 404, 401), {}, KEY),
    Row("Ada's turn", "chat", "POST", STOP, (404, 403, 401), {"user_id": "{ada}"}, KEY),
    Row("who one is", "chat", "GET", "/whoami", (200, 200, 401)),
    Row("Markdown as HTML, of nobody's data", "chat", "POST", "/render", (200, 200, 401), {"texts": ["a"]}),
    _of_ada("Ada's sessions", "GET", "/sessions"),
    Row("the messages of Ada's session", "chat", "GET", "/sessions/{session}/messages", OWNED),
    Row("the messages of her session, as Ada", "chat", "GET", "/sessions/{session}/messages?user_id={ada}", OWNED),
    Row("the messages of the session of Ada's key", "chat", "GET", "/sessions/{derived}/messages", OWNED),
    _of_ada("Ada's profile", "GET", "/profile"),
    _of_ada("change Ada's profile", "PATCH", "/profile", goal="secret goal"),
    _of_ada("Ada's facts", "GET", "/facts"),
    _of_ada("a new fact about Ada", "POST", "/facts", 201, text="secret fact"),
    _of_ada("correct a fact about Ada", "PATCH", "/facts/{fact}", text="secret correction"),
    _of_ada("forget a fact about Ada", "DELETE", "/facts/{fact}", 204),
    _of_ada("Ada's export", "GET", "/export"),
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
    Row("correct the summary of Ada's session", "chat", "PUT", "/sessions/{session}/summary", OWNED, CORRECTION),
    Row("remove the summary of Ada's session", "chat", "DELETE", "/sessions/{session}/summary", (204, 403, 401)),
    Row("correct the summary of nobody's session", "chat", "PUT", "/sessions/{free}/summary", NOBODYS, CORRECTION),
    Row("remove the summary of nobody's session", "chat", "DELETE", "/sessions/{free}/summary", NOBODYS),
    Row("what a turn needs", "memory", "GET", f"{RECALL}{{session}}", OWNED),
    Row("what a turn needs, in nobody's session", "memory", "GET", f"{RECALL}{{free}}&owner_required=true", NOBODYS),
    Row("delete nobody's session", "memory", "DELETE", f"{FREE}?{OWNERS_ONLY}", NOBODYS),
    Row("the messages of nobody's session", "chat", "GET", "/sessions/{free}/messages", NOBODYS),
    Row("delete nobody's session", "chat", "DELETE", "/sessions/{free}", NOBODYS),
    Row("delete the session", "memory", "DELETE", f"{SESSION}?user_id={{me}}", (204, 403, 401)),
    Row("delete the session of Ada's key", "chat", "DELETE", "/sessions/{derived}", (204, 403, 401)),
    _of_ada("erase Ada", "DELETE", "", 204),
]
"""In this order: the last rows delete the session and the user."""
