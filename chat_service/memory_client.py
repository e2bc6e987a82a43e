"""Calls the memory service by its app id through this service's sidecar. Only this module knows that wire format.

Dapr service invocation: https://docs.dapr.io/reference/api/service_invocation_api/
"""

import asyncio
import re
from collections.abc import Awaitable, Sequence
from typing import TypeVar
from urllib.parse import quote

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from pydantic import BaseModel

import trace_context
from errors import MemoryFailure, MemoryRejection
from memory_models import AppendedTurn, Conversation, ConversationEntry, Profile, Summary
from settings import Settings

CALL_TIMEOUT_SECONDS = 4.0
"""Time limit of one call, in seconds. The memory service reports a failing store within 3."""
CONNECT_TIMEOUT_SECONDS = 1.0
"""Time limit in seconds for a connection to the sidecar. It runs on the same machine."""
MAX_CONNECTIONS = 256
"""Largest number of connections to the sidecar. It is the number of calls that can run at once."""
KEEPALIVE_SECONDS = 30.0
"""Seconds until an idle connection is closed. Shorter than the sidecar's time, so that this side closes first."""
PAGE_MESSAGES = 1_000
"""Messages per page of history. The memory service allows no more in one read."""

Shape = TypeVar("Shape", bound=BaseModel)

_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")


def open_memory_http(settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """The pooled HTTP client for the sidecar. It opens no socket before its first call."""
    token = settings.dapr_api_token
    return httpx.AsyncClient(
        base_url=f"{settings.sidecar_url}/v1.0/invoke/{settings.memory_app_id}/method/",
        headers={} if token is None else {"dapr-api-token": token.get_secret_value()},
        # No read timeout here: aiohttp's could expire on an idle pooled connection after a large response and fail the
        # next call. Each call has its own time limit instead.
        timeout=httpx.Timeout(CALL_TIMEOUT_SECONDS, connect=CONNECT_TIMEOUT_SECONDS, read=None),
        transport=transport
        or AiohttpTransport(
            trust_env=False,
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=KEEPALIVE_SECONDS),
        ),
        trust_env=False,
    )


class MemoryClient:
    """Profiles and conversations. Every method raises MemoryRejection for a 4xx, else MemoryFailure; nothing else."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def profile(self, user_id: str) -> Profile:
        """The user's profile."""
        return _parsed(await self._get(f"memories/{_quoted(user_id)}"), Profile)

    async def recent(self, session_id: str, user_id: str, last: int, turn_id: str | None = None) -> Conversation:
        """The session's newest `last` messages, and the turn `turn_id` if it is recorded."""
        query = f"last={last}&user_id={_quoted(user_id)}" + (f"&turn_id={_quoted(turn_id)}" if turn_id else "")
        return _parsed(await self._get(f"conversations/{_quoted(session_id)}?{query}"), Conversation)

    async def before(self, session_id: str, user_id: str, cursor: str) -> Conversation:
        """The page of messages before `cursor`."""
        query = f"before={_quoted(cursor)}&limit={PAGE_MESSAGES}&user_id={_quoted(user_id)}"
        return _parsed(await self._get(f"conversations/{_quoted(session_id)}?{query}"), Conversation)

    async def append(
        self, session_id: str, user_id: str, turn_id: str, entries: Sequence[ConversationEntry]
    ) -> AppendedTurn | None:
        """Record a turn once; a repeated call returns the turn as first recorded.

        Returns None when the service confirmed the append but did not return the turn, as a mocked response does.
        """
        body = {
            "turn_id": turn_id,
            "user_id": user_id,
            "entries": [{"role": it.role, "content": it.content, "timestamp": it.timestamp} for it in entries],
        }
        path = f"conversations/{_quoted(session_id)}/turns"
        response = await _checked(self._http.post(path, json=body, headers=trace_context.headers()))
        if response.status_code != 201 and "Idempotent-Replayed" not in response.headers:
            return None
        return _parsed(response, AppendedTurn)

    async def put_summary(self, session_id: str, summary: Summary, epoch: str) -> None:
        """Store the summary. Rejected with 409 if the session was replaced since or has a summary that covers more."""
        body = {"text": summary.text, "through": summary.through, "epoch": epoch}
        path = f"conversations/{_quoted(session_id)}/summary"
        await _checked(self._http.put(path, json=body, headers=trace_context.headers()))

    async def check_ready(self) -> None:
        """Return if the memory service and its store are ready."""
        await self._get("health/ready")

    async def _get(self, path: str) -> httpx.Response:
        return await _checked(self._http.get(path, headers=trace_context.headers()))


async def _checked(call: Awaitable[httpx.Response]) -> httpx.Response:
    """The successful response of a call. Only this function translates the failures of a call.

    The names of the transport's exceptions say nothing about whether the call was executed: `ConnectTimeout` stands
    for a refused connection and also for a request that was sent and got no response.
    """
    try:
        async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
            response = await call
    except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
        raise MemoryFailure from error
    if response.status_code < 300:
        return response
    code = _error_code(response)
    if 400 <= response.status_code < 500:
        raise MemoryRejection(response.status_code, code or f"memory_answered_{response.status_code}")
    raise MemoryFailure(code or "memory_unavailable")


def _error_code(response: httpx.Response) -> str | None:
    """The memory service's error code. An error of the sidecar (`errorCode` or plain text) has none."""
    try:
        body: object = response.json()
    except ValueError:
        return None
    code = body.get("code") if isinstance(body, dict) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else None


def _parsed(response: httpx.Response, shape: type[Shape]) -> Shape:
    try:
        return shape.model_validate(response.json())
    except ValueError as error:
        raise MemoryFailure("memory_answer_not_understood") from error


def _quoted(text: str) -> str:
    return quote(text, safe="")
