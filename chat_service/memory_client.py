"""The memory service, called by its app id through this service's own sidecar. The only module that knows that wire.

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
from errors import MemoryFailure, MemoryRefusal
from models import AppendedTurn, Conversation, ConversationEntry, Profile, Summary
from settings import Settings

CALL_TIMEOUT_SECONDS = 4.0  # the service tells of a failing store within 3
CONNECT_TIMEOUT_SECONDS = 1.0  # the sidecar is on this machine
MAX_CONNECTIONS = 256
KEEPALIVE_SECONDS = 30.0  # shorter than the sidecar's, so that it is not the one to close
PAGE_MESSAGES = 1_000  # the most that one read may ask for

Shape = TypeVar("Shape", bound=BaseModel)

_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")


def open_memory_http(settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """The pooled client of the sidecar; it opens no socket before its first call."""
    token = settings.dapr_api_token
    return httpx.AsyncClient(
        base_url=f"{settings.sidecar_url}/v1.0/invoke/{settings.memory_app_id}/method/",
        headers={} if token is None else {"dapr-api-token": token.get_secret_value()},
        # No limit on reads here, each call has one of its own: aiohttp's could fire on an idle pooled connection after
        # a large answer, and fail the next call.
        timeout=httpx.Timeout(CALL_TIMEOUT_SECONDS, connect=CONNECT_TIMEOUT_SECONDS, read=None),
        transport=transport
        or AiohttpTransport(
            trust_env=False,
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=KEEPALIVE_SECONDS),
        ),
        trust_env=False,
    )


class MemoryClient:
    """Profiles and conversations. Every method raises MemoryFailure, or MemoryRefusal for a 4xx, and nothing else."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def profile(self, user_id: str) -> Profile:
        """What is known of the user."""
        return _parsed(await self._get(f"memories/{_quoted(user_id)}"), Profile)

    async def recent(self, session_id: str, user_id: str, last: int, turn_id: str | None = None) -> Conversation:
        """The session's newest `last` messages, and turn `turn_id` if it is recorded."""
        wanted = f"last={last}&user_id={_quoted(user_id)}" + (f"&turn_id={_quoted(turn_id)}" if turn_id else "")
        return _parsed(await self._get(f"conversations/{_quoted(session_id)}?{wanted}"), Conversation)

    async def before(self, session_id: str, user_id: str, cursor: str) -> Conversation:
        """The page of messages before `cursor`."""
        wanted = f"before={_quoted(cursor)}&limit={PAGE_MESSAGES}&user_id={_quoted(user_id)}"
        return _parsed(await self._get(f"conversations/{_quoted(session_id)}?{wanted}"), Conversation)

    async def append(
        self, session_id: str, user_id: str, turn_id: str, entries: Sequence[ConversationEntry]
    ) -> AppendedTurn | None:
        """Record a turn, once: repeated, it gives the turn as recorded before. None: recorded, and no more is known."""
        body = {
            "turn_id": turn_id,
            "user_id": user_id,
            "entries": [{"role": it.role, "content": it.content, "timestamp": it.timestamp} for it in entries],
        }
        path = f"conversations/{_quoted(session_id)}/turns"
        answer = await _answered(self._http.post(path, json=body, headers=trace_context.headers()))
        if answer.status_code != 201 and "Idempotent-Replayed" not in answer.headers:
            return None
        return _parsed(answer, AppendedTurn)

    async def put_summary(self, session_id: str, summary: Summary, epoch: str) -> None:
        """Store the summary, unless the session was replaced since or has a later one (409)."""
        body = {"text": summary.text, "through": summary.through, "epoch": epoch}
        path = f"conversations/{_quoted(session_id)}/summary"
        await _answered(self._http.put(path, json=body, headers=trace_context.headers()))

    async def check_ready(self) -> None:
        """The memory service is ready, its store included."""
        await self._get("health/ready")

    async def _get(self, path: str) -> httpx.Response:
        return await _answered(self._http.get(path, headers=trace_context.headers()))


async def _answered(call: Awaitable[httpx.Response]) -> httpx.Response:
    """The service's good answer. Every way a call can fail is translated here, and only here.

    The transport's exception names are not believed: it calls a refused connection, and a request that was sent and
    never answered, `ConnectTimeout`. So a call that failed may always have been carried out.
    """
    try:
        async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
            answer = await call
    except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
        raise MemoryFailure from error
    if answer.status_code < 300:
        return answer
    if 400 <= answer.status_code < 500:
        raise MemoryRefusal(answer.status_code, _code_of(answer) or f"memory_answered_{answer.status_code}")
    raise MemoryFailure(_code_of(answer) or "memory_unavailable")


def _code_of(answer: httpx.Response) -> str | None:
    """The memory service's error code; a failure of the sidecar itself (`errorCode`, plain text) has none."""
    try:
        body: object = answer.json()
    except ValueError:
        return None
    code = body.get("code") if isinstance(body, dict) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else None


def _parsed(answer: httpx.Response, shape: type[Shape]) -> Shape:
    try:
        return shape.model_validate(answer.json())
    except ValueError as error:
        raise MemoryFailure("memory_answer_not_understood") from error


def _quoted(text: str) -> str:
    return quote(text, safe="")
