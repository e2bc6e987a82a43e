"""A memory service for tests: it keeps the HTTP contract over a dictionary and fails on demand."""

import asyncio
import json
import re
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote

import httpx

Kind = Literal[
    "profile",
    "history",
    "recall",
    "append",
    "summary",
    "ready",
    "live",
    "sessions",
    "delete",
    "change",
    "facts",
    "remember",
    "correct",
    "forget",
    "export",
    "erase",
]
Entry = dict[str, str | None]
ScriptedResponse = httpx.Response | Exception | Callable[[], Awaitable[httpx.Response]]

_PREFIX = "/v1.0/invoke/agent-memory-service/method/"
_ROUTES: list[tuple[Kind, str, str]] = [
    ("profile", "GET", r"memories/([^/]+)"),
    ("history", "GET", r"conversations/([^/]+)"),
    ("recall", "GET", r"memories/([^/]+)/recall"),
    ("append", "POST", r"conversations/([^/]+)/turns"),
    ("summary", "PUT", r"conversations/([^/]+)/summary"),
    ("sessions", "GET", r"memories/([^/]+)/conversations"),
    ("delete", "DELETE", r"conversations/([^/]+)"),
    ("change", "PATCH", r"memories/([^/]+)"),
    ("facts", "GET", r"memories/([^/]+)/facts"),
    ("remember", "POST", r"memories/([^/]+)/facts"),
    ("correct", "PATCH", r"memories/([^/]+)/facts/[^/]+"),
    ("forget", "DELETE", r"memories/([^/]+)/facts/[^/]+"),
    ("export", "GET", r"memories/([^/]+)/export"),
    ("erase", "DELETE", r"memories/([^/]+)"),
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


class Held:
    """A response that comes when the test lets it. `asked` is set once the call is there."""

    def __init__(self, response: httpx.Response) -> None:
        self.asked, self.let = asyncio.Event(), asyncio.Event()
        self._response = response

    async def __call__(self) -> httpx.Response:
        """Wait until the test lets it respond."""
        self.asked.set()
        await self.let.wait()
        return self._response


class ScriptedMemory:
    """Responds as the memory service does, unless a test scripts other responses for a kind of call."""

    def __init__(self) -> None:
        self.profiles: dict[str, dict[str, str]] = {}
        self.facts: defaultdict[str, list[Entry]] = defaultdict(list)
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

    def hold_next(self, kind: Kind, response: httpx.Response) -> Held:
        """Let the next call of this kind wait, then give it this response."""
        held = Held(response)
        self.respond_next(kind, held)
        return held

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
            return httpx.Response(200, json={**self._profile(name), "facts": self.facts[name]})
        if kind == "recall":
            return self._recall(name, httpx.QueryParams(request.url.query))
        if kind == "history":
            return self._history(name, httpx.QueryParams(request.url.query))
        if kind == "sessions":
            return self._sessions(name, httpx.QueryParams(request.url.query))
        if kind == "delete":
            return self._delete(name, httpx.QueryParams(request.url.query)["user_id"])
        if kind == "facts":
            return httpx.Response(200, json={"facts": self.facts[name]})
        if kind == "export":
            return httpx.Response(200, json={"user_id": name, "facts": self.facts[name]})
        if kind == "erase":
            self.facts[name].clear()
            return httpx.Response(204)
        if kind == "forget":
            self.facts[name] = [fact for fact in self.facts[name] if fact["fact_id"] != _last_part(request)]
            return httpx.Response(204)
        body = json.loads(request.content)
        if kind == "append":
            return self._append(name, body)
        if kind == "change":
            self.profiles[name] = {**self._profile(name), **body}
            return httpx.Response(200, json=self.profiles[name])
        if kind == "remember":
            return self._remember(name, body)
        if kind == "correct":
            return self._correct(name, _last_part(request), body["text"])
        return self._put_summary(name, httpx.QueryParams(request.url.query).get("user_id"), body)

    def _profile(self, name: str) -> dict[str, str]:
        return self.profiles.get(name, {"name": name, "preferred_style": "casual", "goal": "chat"})

    def _sessions(self, name: str, query: httpx.QueryParams) -> httpx.Response:
        listed = [session_id for session_id, session in self.sessions.items() if session.owner == name]
        start, limit = int(query.get("before", "0")), int(query["limit"])
        found = [
            {
                "session_id": session_id,
                "created": "then",
                "last_activity": "now",
                "messages": len(self.sessions[session_id].entries),
                "first_words": self.sessions[session_id].entries[0]["content"],
            }
            for session_id in listed[start : start + limit]
        ]
        before = str(start + limit) if start + limit < len(listed) else None
        return httpx.Response(200, json={"conversations": found, "before": before})

    def _delete(self, name: str, user_id: str) -> httpx.Response:
        if name in self.sessions and self.sessions[name].owner != user_id:
            return refusal(403, "not_owner")
        self.sessions.pop(name, None)
        return httpx.Response(204)

    def _remember(self, name: str, body: dict[str, str]) -> httpx.Response:
        for fact in self.facts[name]:
            if str(fact["text"]).casefold() == body["text"].casefold():
                return httpx.Response(200, json=fact)
        made: Entry = {"fact_id": f"f{len(self.facts[name])}", "created_at": "then", **body}
        self.facts[name].append(made)
        return httpx.Response(201, json=made)

    def _correct(self, name: str, fact_id: str, text: str) -> httpx.Response:
        for fact in self.facts[name]:
            if fact["fact_id"] == fact_id:
                fact["text"] = text
                return httpx.Response(200, json=fact)
        return refusal(404, "fact_unknown")

    def _recall(self, name: str, query: httpx.QueryParams) -> httpx.Response:
        conversation = self._history(query["session_id"], query.set("user_id", name))
        if conversation.status_code != 200:
            return conversation
        memories = {**self._profile(name), "facts": self.facts[name]}
        return httpx.Response(200, json={"memories": memories, "conversation": conversation.json()})

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
        summarized = (session.summary or {}).get("through", 0)
        state = {"total": len(session.entries), "epoch": session.epoch, "summarized": summarized}
        response = {**recorded, "session_id": name, **state}
        return httpx.Response(200 if headers else 201, json=response, headers=headers)

    def _put_summary(self, name: str, user_id: str | None, body: dict[str, Any]) -> httpx.Response:
        session = self.sessions[name]
        if session.owner != user_id:
            return refusal(403, "not_owner")
        if body["epoch"] != session.epoch or body["previous"] != (session.summary or {"text": "", "through": 0}):
            return refusal(409, "summary_conflict")
        session.summary = {"text": body["text"], "through": body["through"]}
        return httpx.Response(200, json=session.summary)

    @staticmethod
    def _recorded(session: Session, turn_id: str | None) -> dict[str, object] | None:
        entries = [entry for entry in session.entries if turn_id is not None and entry["turn_id"] == turn_id]
        if not entries:
            return None
        return {"turn_id": turn_id, "seq": session.entries.index(entries[0]), "entries": entries}


def _last_part(request: httpx.Request) -> str:
    return unquote(request.url.raw_path.decode().rpartition("/")[2])


def refusal(status: int, code: str) -> httpx.Response:
    """An error of the memory service."""
    return httpx.Response(status, json={"detail": "what to do next", "code": code})


def recollection() -> httpx.Response:
    """The memory service's response to the read of a turn whose session has no messages."""
    memories = {"name": "alice", "preferred_style": "casual", "goal": "chat", "facts": []}
    return httpx.Response(200, json={"memories": memories, "conversation": {"history": [], "total": 0}})


def sidecar_failure() -> httpx.Response:
    """An error of the sidecar itself."""
    return httpx.Response(500, json={"errorCode": "ERR_DIRECT_INVOKE", "message": "failed to invoke"})
