"""The load: turns over HTTP from one client, timed one by one or counted in a closed loop."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import ParamSpec, TypedDict
from uuid import uuid4

import aiohttp

from bench.measured import MeasuredSystem, introduce

REQUEST_SECONDS = 120.0
"""Timeout of one request: the tutorial's turns take long when 64 run at once."""

IDLE_SECONDS = 4.0
"""How long an idle connection is kept: the tutorial's server closes it after 5 s, and a request must not meet that."""

ATTEMPTS = 3
"""How often a timed call is tried before the bench fails."""

QUESTION = "Please tell me something about item {} of the list that we made together yesterday."
SUMMARY = "The user and the assistant went through the items of a list, and what to do about each of them. " * 5
REPLY = "Item {} is the one that you wanted to have ready before the end of the week, I think."
"""Texts of a seeded session, of a usual length."""

P = ParamSpec("P")


class CallError(Exception):
    """A call that had to be timed failed, so there is no measurement."""


class Entry(TypedDict):
    """One message of a history."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Rate:
    """The result of a closed loop: successful calls, failed calls, and its duration."""

    done: int
    failed: int
    seconds: float

    def __add__(self, other: "Rate") -> "Rate":
        return Rate(self.done + other.done, self.failed + other.failed, self.seconds + other.seconds)

    @property
    def per_second(self) -> float:
        """Successful calls a second."""
        return self.done / self.seconds


def new_client() -> aiohttp.ClientSession:
    """Open a client with as many connections as the load needs."""
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS), timeout=timeout
    )


def new_id(kind: str) -> str:
    """Return an id that no other run has."""
    return f"bench-{kind}-{uuid4().hex}"


def history(messages: int) -> list[Entry]:
    """Return a conversation of `messages` messages of about 85 characters each."""
    return [
        {"role": "assistant", "content": REPLY.format(number)}
        if number % 2
        else {"role": "user", "content": QUESTION.format(number)}
        for number in range(messages)
    ]


async def new_user(client: aiohttp.ClientSession, memory: str) -> str:
    """Create a user with a profile by the route that both systems have: the tutorial's reads fail without a profile."""
    user = new_id("user")
    await introduce(client, f"{memory}/memories/{user}/initialize")
    return user


async def seed(client: aiohttp.ClientSession, memory: str, session_id: str, messages: int) -> None:
    """Write a session of `messages` messages by the route that both systems have."""
    url = f"{memory}/conversations/{session_id}"
    async with client.post(url, json={"history": history(messages)}) as response:
        response.raise_for_status()


async def summarize(client: aiohttp.ClientSession, memory: str, session_id: str) -> None:
    """Write the summary that a seeded session of ours would have if its messages had come turn by turn."""
    url = f"{memory}/conversations/{session_id}"
    async with client.get(url, params={"last": 1}) as response:
        found = await response.json()
    body = {"text": SUMMARY, "through": found["total"], "epoch": found["epoch"]}
    async with client.put(f"{url}/summary", json=body) as response:
        response.raise_for_status()


async def whole_history(client: aiohttp.ClientSession, memory: str, session_id: str) -> list[Entry]:
    """Return all messages of a session."""
    async with client.get(f"{memory}/conversations/{session_id}") as response:
        response.raise_for_status()
        found: list[Entry] = (await response.json())["history"]
    return found


def message(user_id: str, session_id: str | None, text: str) -> dict[str, object]:
    """Return the body of a turn's request, for `/chat/` and `/chat/stream`. Without a session id it begins one."""
    session: dict[str, object] = {"metadata": {"session_id": session_id}} if session_id else {}
    return {"user_id": user_id, "text": text, **session}


async def succeeded(response: aiohttp.ClientResponse, status: int = 200) -> bool:
    """Read a response and return whether it has that status. Another status is printed."""
    body = await response.read()
    if response.status != status:
        print(f"  {response.method} {response.url.path}: {response.status} {body[:200]!r}", flush=True)
    return response.status == status


async def turn(
    client: aiohttp.ClientSession, system: MeasuredSystem, user_id: str, session_id: str | None, text: str
) -> bool:
    """Send one turn. Returns whether the status is 200 and the response does not say that the turn is not saved."""
    async with client.post(f"{system.chat}/chat/", json=message(user_id, session_id, text)) as response:
        reply = await response.read()
        return response.status == 200 and b'"not_saved"' not in reply and b'"unknown"' not in reply


async def timed(call: Callable[P, Awaitable[bool]], *args: P.args, **kwargs: P.kwargs) -> float:
    """Return the seconds that a call takes. A failed call is printed and repeated. Raises CallError after ATTEMPTS."""
    for _ in range(ATTEMPTS):
        start = time.perf_counter()
        if await call(*args, **kwargs):
            return time.perf_counter() - start
        print(f"  failed, and not counted: {call.__name__}", flush=True)
    raise CallError(f"{call.__name__} failed {ATTEMPTS} times")


async def closed_loop(calls: Sequence[Callable[[], Awaitable[bool]]], seconds: float) -> Rate:
    """Repeat each call, all at the same time, for `seconds`. Calls that run at the end are waited for and counted."""
    start = time.perf_counter()
    results: list[bool] = []

    async def user(call: Callable[[], Awaitable[bool]]) -> None:
        while time.perf_counter() - start < seconds:
            results.append(await call())

    await asyncio.gather(*(user(call) for call in calls))
    return Rate(sum(results), len(results) - sum(results), time.perf_counter() - start)
