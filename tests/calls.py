"""What the tests ask of a system, in the domain's words; waits are polls with a deadline."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote

import httpx
from httpx_aiohttp import AiohttpTransport

CALL_SECONDS = 20.0  # longer than any service here may take
KEPT_SECONDS = 60.0
PAUSE_SECONDS = 0.05
REPEATED = {500, 502, 503, 504}
"""Told by a sidecar or by a service that could not do it now: the client repeats."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One turn that was acknowledged: what it holds, and when it was first sent and then acknowledged."""

    turn_id: str
    contents: tuple[str, ...]
    sent_at: float
    acknowledged_at: float


@asynccontextmanager
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A client that repeats nothing by itself."""
    async with httpx.AsyncClient(
        transport=AiohttpTransport(limits=httpx.Limits(max_connections=None)), timeout=CALL_SECONDS, trust_env=False
    ) as http:
        yield http


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = KEPT_SECONDS) -> None:
    """Poll until the condition holds; fails after the time given."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, f"never: {what}"
        await asyncio.sleep(PAUSE_SECONDS)


async def repeated(call: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """The first answer that is no failure to repeat; connections that break are repeated too."""
    deadline = time.monotonic() + KEPT_SECONDS
    while True:
        try:
            answer = await call()
            if answer.status_code not in REPEATED:
                return answer
            failure = f"{answer.status_code} {answer.text}"
        except httpx.HTTPError as error:
            failure = repr(error)
        assert time.monotonic() < deadline, f"still failing: {failure}"
        await asyncio.sleep(PAUSE_SECONDS)


def entries(*contents: str) -> list[dict[str, str]]:
    """Messages of user and assistant in turn."""
    return [{"role": "assistant" if n % 2 else "user", "content": text} for n, text in enumerate(contents)]


async def append(
    http: httpx.AsyncClient, memory: str, session_id: str, user_id: str, turn_id: str, *contents: str
) -> httpx.Response:
    """One attempt to append a turn."""
    body = {"turn_id": turn_id, "user_id": user_id, "entries": entries(*contents)}
    return await http.post(f"{memory}/conversations/{quote(session_id, safe='')}/turns", json=body)


async def keep(
    http: httpx.AsyncClient, memory: str, session_id: str, user_id: str, turn_id: str, *contents: str
) -> Sent:
    """Append a turn, repeating it with its id until it is acknowledged."""
    sent_at = time.monotonic()
    answer = await repeated(lambda: append(http, memory, session_id, user_id, turn_id, *contents))
    assert answer.status_code in (200, 201), answer.text
    assert [entry["content"] for entry in answer.json()["entries"]] == list(contents)
    return Sent(turn_id, contents, sent_at, time.monotonic())


async def history(http: httpx.AsyncClient, memory: str, session_id: str) -> list[str]:
    """The contents of all messages of a session."""
    answer = await repeated(lambda: http.get(f"{memory}/conversations/{quote(session_id, safe='')}"))
    assert answer.status_code == 200, answer.text
    return [entry["content"] for entry in answer.json()["history"]]


def assert_kept(kept: list[str], turns: list[Sent]) -> None:
    """Each turn is there once, whole, in one piece, nothing else is, and none before one acknowledged when it was sent.

    Every message of the turns must be unlike every other.
    """
    by_first = {turn.contents[0]: turn for turn in turns}
    latest_sent = 0.0
    at = 0
    while at < len(kept):
        assert kept[at] in by_first, f"message {at} is no turn's beginning, or is there twice: {kept[at]!r}"
        turn = by_first.pop(kept[at])
        assert tuple(kept[at : at + len(turn.contents)]) == turn.contents
        assert turn.acknowledged_at > latest_sent, f"{turn.turn_id} is behind one that was sent after it was done"
        latest_sent = max(latest_sent, turn.sent_at)
        at += len(turn.contents)
    assert not by_first, f"acknowledged and lost: {sorted(by_first)}"
