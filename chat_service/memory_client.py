"""Calls the memory service by its app id through this service's sidecar. Only this module and memory_user_data.py know
that wire format.
"""

import asyncio
import re
from collections.abc import Awaitable, Sequence
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import quote

import aiohttp
import httpx
from opentelemetry.trace import SpanKind
from pydantic import BaseModel

from errors import MemoryFailure, MemoryRejection
from memory_models import (
    AppendedTurn,
    CallerRule,
    Conversation,
    ConversationEntry,
    MemoryHealth,
    Profile,
    Recollection,
    Summary,
)
from sidecar_outage import SidecarOutage
from tracing import traced

CALL_TIMEOUT_SECONDS = 4.0
"""Time limit of one call, in seconds. The memory service reports a failing store within 3."""
PAGE_MESSAGES = 60
"""Messages per page of history. Even the longest ones fit into sidecar_http.MAX_RESPONSE_BYTES."""

Shape = TypeVar("Shape", bound=BaseModel)

NOT_UNDERSTOOD = "memory_answer_not_understood"
"""The code of a success whose body is not what the memory service sends, for example a proxy's page."""

_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SIDECAR_CODES = {
    401: "sidecar_token_refused",
    403: "sidecar_call_denied",
    408: "sidecar_timeout",
    429: "sidecar_overloaded",
}
"""Codes of the sidecar's own errors: DAPR_API_TOKEN is wrong, Dapr's access policy, and a Dapr middleware's limits."""
_TRANSIENT_REJECTIONS = frozenset({408, 425, 429})
"""Statuses with which the memory service rejects a call that may be repeated, for example a body that came too slowly.
"""
_REFUSED_BEFORE_WRITING = frozenset({"overloaded", "store_refuses_writes", "store_unsuitable"})
"""Codes of the memory service's 5xx after which nothing was written. After any other the write may have been done."""


class MemoryClient:
    """Profiles and conversations.

    Every method raises MemoryRejection if the memory service itself rejects the call, else MemoryFailure.
    """

    def __init__(self, http: httpx.AsyncClient, *, owner_required: bool = False) -> None:
        """With `owner_required` a session without an owner is refused: it is neither read nor claimed."""
        self._http = http
        self._owner_required = owner_required
        self._outage = SidecarOutage(f"{http.base_url.scheme}://{http.base_url.netloc.decode()}")

    @traced("GET /memories/{user_id}", SpanKind.CLIENT)
    async def profile(self, user_id: str, new_session_id: str | None = None) -> Profile:
        """The user's profile and facts, by one call. `new_session_id` is a session whose first append will follow."""
        query = "facts=true" + (f"&new_session_id={quoted(new_session_id)}" if new_session_id else "")
        return parsed(await self._get(f"memories/{quoted(user_id)}?{query}"), Profile)

    @traced("GET /memories/{user_id}/recall", SpanKind.CLIENT)
    async def recall(self, user_id: str, session_id: str, last: int, turn_id: str | None = None) -> Recollection:
        """What a turn needs: the user's profile and facts, the session's newest `last` messages, and the turn `turn_id`
        if it is recorded."""
        query = f"session_id={quoted(session_id)}&last={last}" + self._owner_rule()
        query += f"&turn_id={quoted(turn_id)}" if turn_id else ""
        return parsed(await self._get(f"memories/{quoted(user_id)}/recall?{query}"), Recollection)

    @traced("GET /conversations/{session_id}", SpanKind.CLIENT)
    async def recent(self, session_id: str, user_id: str, last: int, turn_id: str | None = None) -> Conversation:
        """The session's newest `last` messages, and the turn `turn_id` if it is recorded."""
        query = f"last={last}&{self._owner(user_id)}" + (f"&turn_id={quoted(turn_id)}" if turn_id else "")
        return parsed(await self._get(f"conversations/{quoted(session_id)}?{query}"), Conversation)

    @traced("GET /conversations/{session_id}", SpanKind.CLIENT)
    async def before(self, session_id: str, user_id: str, cursor: str, limit: int = PAGE_MESSAGES) -> Conversation:
        """The page of at most `limit` messages before `cursor`."""
        query = f"before={quoted(cursor)}&limit={limit}&{self._owner(user_id)}"
        return parsed(await self._get(f"conversations/{quoted(session_id)}?{query}"), Conversation)

    @traced("POST /conversations/{session_id}/turns", SpanKind.CLIENT)
    async def append(
        self, session_id: str, user_id: str, turn_id: str, entries: Sequence[ConversationEntry]
    ) -> AppendedTurn | None:
        """Record a turn once; a repeated call returns the turn as first recorded.

        Any success that is not a recorded turn is a failure. None: the tutorial's test replaced the HTTP client.
        """
        body: dict[str, object] = {
            "turn_id": turn_id,
            "user_id": user_id,
            "entries": [it.model_dump(exclude={"turn_id"}, exclude_defaults=True) for it in entries],
        }
        if self._owner_required:
            body["owner_required"] = True
        path = f"conversations/{quoted(session_id)}/turns"
        response = await self._checked(self._http.post(path, json=body))
        if not isinstance(response, httpx.Response):  # the tutorial's mock, which has a status and nothing else
            return None
        is_replay = response.status_code == 200 and "Idempotent-Replayed" in response.headers
        if response.status_code != 201 and not is_replay:
            raise MemoryFailure(NOT_UNDERSTOOD)
        recorded = parsed(response, AppendedTurn)
        if recorded.turn_id != turn_id or not recorded.is_complete:
            raise MemoryFailure(NOT_UNDERSTOOD)
        return recorded

    @traced("PUT /conversations/{session_id}/summary", SpanKind.CLIENT)
    async def put_summary(self, session_id: str, user_id: str, summary: Summary, epoch: str, previous: Summary) -> None:
        """Store the summary of the user's session. It was made from `previous`, which is NO_SUMMARY if there was none.

        Rejected with 409 if the session was replaced since or has another summary than `previous`.
        """
        body = {**summary.model_dump(), "epoch": epoch, "previous": previous.model_dump()}
        path = f"conversations/{quoted(session_id)}/summary?{self._owner(user_id)}"
        stored = parsed(await self._checked(self._http.put(path, json=body)), Summary)
        if stored != summary:
            raise MemoryFailure(NOT_UNDERSTOOD)

    @traced("GET /health/ready", SpanKind.CLIENT)
    async def check_ready(self) -> None:
        """Return if the memory service and its store are ready."""
        parsed(await self._get("health/ready"), MemoryHealth)

    async def caller_rule(self) -> CallerRule:
        """Whom the memory service lets in."""
        return parsed(await self._get("health/live"), CallerRule)

    def _owner(self, user_id: str) -> str:
        """The part of a query that names the user."""
        return f"user_id={quoted(user_id)}" + self._owner_rule()

    def _owner_rule(self) -> str:
        return "&owner_required=true" if self._owner_required else ""

    async def _get(self, path: str) -> httpx.Response:
        return await self._checked(self._http.get(path))

    async def _checked(self, call: Awaitable[httpx.Response], limit_seconds: float | None = None) -> httpx.Response:
        """The successful response of a call. Only this function translates the failures of a call.

        The names of httpx's exceptions say nothing about whether the call was executed: `ConnectTimeout` stands for a
        connection that was not made and also for a request that was sent and got no response.
        """
        try:
            async with asyncio.timeout(limit_seconds or CALL_TIMEOUT_SECONDS):
                response = await call
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            was_never_sent = isinstance(error.__cause__, aiohttp.ClientConnectorError)
            if was_never_sent:
                self._outage.begin()
            raise MemoryFailure(had_no_effect=was_never_sent) from error
        self._outage.end()
        if response.status_code < 300:
            return response
        raise _to_failure(response)


def _to_failure(response: httpx.Response) -> MemoryFailure:
    """The failure that an error response stands for. Only an error of the memory service's own can be a rejection."""
    status = response.status_code
    code = _error_code(response)
    if not 400 <= status < 500:
        return MemoryFailure(code or "memory_unavailable", had_no_effect=code in _REFUSED_BEFORE_WRITING)
    if code is None:
        sidecar_code = _SIDECAR_CODES.get(status, f"memory_answered_{status}")
        return MemoryFailure(sidecar_code, had_no_effect=status != HTTPStatus.REQUEST_TIMEOUT)
    if status in _TRANSIENT_REJECTIONS:
        return MemoryFailure(code, had_no_effect=True)
    return MemoryRejection(code)


def _error_code(response: httpx.Response) -> str | None:
    """The memory service's error code. An error of the sidecar (`errorCode`, or plain text) has none."""
    try:
        body = _json(response)
    except MemoryFailure:
        return None
    if not isinstance(body, dict) or "errorCode" in body:
        return None
    code = body.get("code")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else None


def parsed(response: httpx.Response, shape: type[Shape]) -> Shape:
    """The response's body in this shape. Raises MemoryFailure."""
    try:
        return shape.model_validate(_json(response))
    except ValueError as error:
        raise MemoryFailure(NOT_UNDERSTOOD) from error


def _json(response: httpx.Response) -> object:
    try:
        return response.json()
    except (ValueError, RecursionError) as error:  # RecursionError: brackets nested a thousand deep
        raise MemoryFailure(NOT_UNDERSTOOD) from error


def quoted(text: str) -> str:
    """The text as one part of a path or a query."""
    return quote(text, safe="")
