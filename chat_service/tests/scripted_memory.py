"""A memory service for tests: it keeps the HTTP contract over a dictionary and fails on demand."""

import asyncio
import json
import re
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

import httpx

Kind = Literal["profile", "history", "append", "summary", "ready", "live"]
Entry = dict[str, str | None]
ScriptedResponse = httpx.Response | Exception | Callable[[], Awaitable[httpx.Response]]

_PREFIX = "/v1.0/invoke/agent-memory-service/method/"
_ROUTES: list[tuple[Kind, str, str]] = [
    ("profile", "GET", r"memories/([^/]+)"),
    ("history", "GET", r"conversations/([^/]+)"),
    ("append", "POST", r"conversations/([^/]+)/turns"),
    ("summary", "PUT", r"conversations/([^/]+)/summary"),
    ("ready", "GET", r"health/()ready"),
    ("live", "GET", r"health/()live"),
]


@dataclass
class Session:
    """A session: its owner, epoch, messages and summary."""

    owner: str
    epoch: str = "e1"
    entries: list[Entry] = field(default_factory=list)
    summary: dict[str, str | int] | None = None


class ScriptedMemory:
    """Responds as the memory service does, unless a test scripts other responses for a kind of call."""

    def __init__(self) -> None:
        self.profiles: dict[str, dict[str, str]] = {}
        self.sessions: dict[str, Session] = {}
        self.app_token_required: bool | None = True
        """What the service reports; None for one that does not report it."""
        self.requests: list[tuple[Kind, httpx.Request]] = []
        self.changed = asyncio.Condition()
        self._next: defaultdict[Kind, deque[ScriptedResponse]] = defaultdict(deque)
        self._always: dict[Kind, ScriptedResponse] = {}

    def respond_next(self, kind: Kind, *responses: ScriptedResponse) -> None:
        """Script the responses to the next calls of this kind."""
        self._next[kind].extend(responses)

    def respond_always(self, response: ScriptedResponse, *kinds: Kind) -> None:
        """Script the response to every further call of these kinds."""
        for kind in kinds:
            self._always[kind] = response

    def recover(self) -> None:
        """Drop the response scripted for every call."""
        self._always.clear()

    def calls(self, kind: Kind) -> list[httpx.Request]:
        """The calls of this kind so far."""
        return [request for called, request in self.requests if called == kind]

    def remember(self, session_id: str, owner: str, *said: tuple[str, str], turns: bool = True) -> None:
        """Store these (role, content) messages in a session, two for each turn, or without turn ids."""
        session = self.sessions.setdefault(session_id, Session(owner))
        for role, content in said:
            turn_id = f"t{len(session.entries) // 2}" if turns else None
            session.entries.append({"role": role, "content": content, "timestamp": "then", "turn_id": turn_id})

    async def until(self, fulfilled: Callable[[], bool]) -> None:
        """Wait for calls until the condition holds."""
        async with asyncio.timeout(5), self.changed:
            await self.changed.wait_for(fulfilled)

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """Respond to one call."""
        path = request.url.raw_path.decode().partition("?")[0].removeprefix(_PREFIX)
        kind, name = next(
            (kind, unquote(found[1]))
            for kind, method, pattern in _ROUTES
            if method == request.method and (found := re.fullmatch(pattern, path))
        )
        self.requests.append((kind, request))
        try:
            return await self._respond(kind, name, request)
        finally:
            async with self.changed:
                self.changed.notify_all()

    async def _respond(self, kind: Kind, name: str, request: httpx.Request) -> httpx.Response:
        scripted = self._next[kind].popleft() if self._next[kind] else self._always.get(kind)
        if isinstance(scripted, Exception):
            raise scripted
        if isinstance(scripted, httpx.Response):
            return scripted
        if scripted is not None:
            return await scripted()
        return self._well(kind, name, request)

    def _well(self, kind: Kind, name: str, request: httpx.Request) -> httpx.Response:
        if kind == "live":
            reported = {} if self.app_token_required is None else {"app_token_required": self.app_token_required}
            return httpx.Response(200, json={"status": "live", **reported})
        if kind == "ready":
            return httpx.Response(200, json={"status": "ok"})
        if kind == "profile":
            unknown = {"name": name, "preferred_style": "casual", "goal": "chat"}
            return httpx.Response(200, json=self.profiles.get(name, unknown))
        if kind == "history":
            return self._history(name, httpx.QueryParams(request.url.query))
        body = json.loads(request.content)
        if kind == "append":
            return self._append(name, body)
        return self._put_summary(name, httpx.QueryParams(request.url.query).get("user_id"), body)

    def _history(self, name: str, query: httpx.QueryParams) -> httpx.Response:
        session = self.sessions.get(name)
        if session is None:
            return httpx.Response(
                200, json={"session_id": name, "history": [], "total": 0, "epoch": None, "summary": None}
            )
        if query.get("user_id") not in (None, session.owner):
            return refusal(403, "not_owner")
        end = int(query["before"]) if "before" in query else len(session.entries)
        start = max(0, end - int(query.get("last") or query["limit"]))
        return httpx.Response(
            200,
            json={
                "session_id": name,
                "history": session.entries[start:end],
                "total": len(session.entries),
                "epoch": session.epoch,
                "summary": session.summary,
                "before": str(start) if start else None,
                "turn": self._recorded(session, query.get("turn_id")),
            },
        )

    def _append(self, name: str, body: dict[str, str]) -> httpx.Response:
        session = self.sessions.setdefault(name, Session(body["user_id"]))
        if session.owner != body["user_id"]:
            return refusal(403, "not_owner")
        recorded = self._recorded(session, body["turn_id"])
        headers = {"Idempotent-Replayed": "true"} if recorded else {}
        if recorded is None:
            session.entries += [{**json.loads(json.dumps(it)), "turn_id": body["turn_id"]} for it in body["entries"]]
            recorded = self._recorded(session, body["turn_id"]) or {}
        response = {**recorded, "session_id": name, "total": len(session.entries), "epoch": session.epoch}
        return httpx.Response(200 if headers else 201, json=response, headers=headers)

    def _put_summary(self, name: str, user_id: str | None, body: dict[str, str | int]) -> httpx.Response:
        session = self.sessions[name]
        if session.owner != user_id:
            return refusal(403, "not_owner")
        if body["epoch"] != session.epoch:
            return refusal(409, "summary_conflict")
        session.summary = {"text": body["text"], "through": body["through"]}
        return httpx.Response(200, json=session.summary)

    @staticmethod
    def _recorded(session: Session, turn_id: str | None) -> dict[str, object] | None:
        entries = [entry for entry in session.entries if turn_id is not None and entry["turn_id"] == turn_id]
        if not entries:
            return None
        return {"turn_id": turn_id, "seq": session.entries.index(entries[0]), "entries": entries}


def refusal(status: int, code: str) -> httpx.Response:
    """An error of the memory service."""
    return httpx.Response(status, json={"detail": "what to do next", "code": code})


def sidecar_failure() -> httpx.Response:
    """An error of the sidecar itself."""
    return httpx.Response(500, json={"errorCode": "ERR_DIRECT_INVOKE", "message": "failed to invoke"})
