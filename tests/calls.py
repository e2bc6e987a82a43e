"""The requests that the tests send to a system. A wait is a poll with a deadline."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote

import httpx
from httpx_aiohttp import AiohttpTransport

CALL_SECONDS = 20.0
"""Timeout of one request: longer than any request to these services may take."""

REPEAT_SECONDS = 60.0
"""How long a test repeats a request or polls a condition before it fails."""

PAUSE_SECONDS = 0.05
"""Pause between two attempts."""

REPEATED = {500, 502, 503, 504}
"""Statuses after which a client repeats: a sidecar or a service could not handle the request now."""


@dataclass(frozen=True, slots=True)
class Sent:
    """An acknowledged turn: its contents, when it was first sent, and when it was acknowledged."""

    turn_id: str
    contents: tuple[str, ...]
    sent_at: float
    acknowledged_at: float


@asynccontextmanager
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Open a client that repeats nothing by itself."""
    async with httpx.AsyncClient(
        transport=AiohttpTransport(limits=httpx.Limits(max_connections=None)), timeout=CALL_SECONDS, trust_env=False
    ) as http:
        yield http


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = REPEAT_SECONDS) -> None:
    """Poll until the condition holds. Fails with `what` after the given time."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, f"never: {what}"
        await asyncio.sleep(PAUSE_SECONDS)


def is_cut_off(response: httpx.Response) -> bool:
    """Whether the body is not whole JSON. Dapr ends a body early if the service dies that was about to send it."""
    try:
        return response.status_code != 204 and response.json() is None
    except ValueError:
        return True


async def repeated(call: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """Repeat a request while its status is in REPEATED, its connection breaks, or its body is cut off.

    Returns the other response.
    """
    deadline = time.monotonic() + REPEAT_SECONDS
    while True:
        try:
            response = await call()
            if response.status_code not in REPEATED and not is_cut_off(response):
                return response
            failure = f"{response.status_code} {response.text}"
        except httpx.HTTPError as error:
            failure = repr(error)
        assert time.monotonic() < deadline, f"still failing: {failure}"
        await asyncio.sleep(PAUSE_SECONDS)


def entries(*contents: str) -> list[dict[str, str]]:
    """Return messages that the user and the assistant write alternately."""
    return [{"role": "assistant" if n % 2 else "user", "content": text} for n, text in enumerate(contents)]


async def append(
    http: httpx.AsyncClient, memory: str, session_id: str, user_id: str, turn_id: str, *contents: str
) -> httpx.Response:
    """Try once to append a turn."""
    body = {"turn_id": turn_id, "user_id": user_id, "entries": entries(*contents)}
    return await http.post(f"{memory}/conversations/{quote(session_id, safe='')}/turns", json=body)


async def keep(
    http: httpx.AsyncClient, memory: str, session_id: str, user_id: str, turn_id: str, *contents: str
) -> Sent:
    """Append a turn, repeated with the same id until it is acknowledged."""
    sent_at = time.monotonic()
    response = await repeated(lambda: append(http, memory, session_id, user_id, turn_id, *contents))
    assert response.status_code in (200, 201), response.text
    assert [entry["content"] for entry in response.json()["entries"]] == list(contents)
    return Sent(turn_id, contents, sent_at, time.monotonic())


async def history(http: httpx.AsyncClient, memory: str, session_id: str) -> list[str]:
    """Return the contents of all messages of a session."""
    response = await repeated(lambda: http.get(f"{memory}/conversations/{quote(session_id, safe='')}"))
    assert response.status_code == 200, response.text
    return [entry["content"] for entry in response.json()["history"]]


def assert_kept(kept: list[str], turns: list[Sent]) -> None:
    """Check that the history is exactly these turns, each once and in one piece.

    A turn must stand behind every turn that was acknowledged before it was sent. All messages must differ.
    """
    by_first = {turn.contents[0]: turn for turn in turns}
    latest_sent = 0.0
    at = 0
    while at < len(kept):
        assert kept[at] in by_first, f"message {at} does not begin a turn, or is there twice: {kept[at]!r}"
        turn = by_first.pop(kept[at])
        assert tuple(kept[at : at + len(turn.contents)]) == turn.contents
        assert turn.acknowledged_at > latest_sent, f"{turn.turn_id} is behind a turn sent after its acknowledgement"
        latest_sent = max(latest_sent, turn.sent_at)
        at += len(turn.contents)
    assert not by_first, f"acknowledged and lost: {sorted(by_first)}"
