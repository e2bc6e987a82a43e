"""The load: turns over HTTP by one light client, timed one by one or counted in a closed loop."""

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
QUESTION = "Please tell me something about item {} of the list that we made together yesterday."
SUMMARY = "The user and the assistant went through the items of a list, and what to do about each of them. " * 5
ANSWER = "Item {} is the one that you wanted to have ready before the end of the week, I think."

P = ParamSpec("P")


class CallError(Exception):
    """A call that was to be timed failed: that is no measurement."""


class Entry(TypedDict):
    """One message of a history."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Rate:
    """What a closed loop got done: successful calls, others, and the time it took."""

    done: int
    failed: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Successful calls a second."""
        return self.done / self.seconds


def new_client() -> aiohttp.ClientSession:
    """A client with as many connections as the load needs, kept open."""
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS), timeout=timeout
    )


def new_id(kind: str) -> str:
    """An id that no other run has."""
    return f"bench-{kind}-{uuid4().hex}"


def history(messages: int) -> list[Entry]:
    """A conversation of so many messages, about 85 characters each."""
    return [
        {"role": "assistant", "content": ANSWER.format(number)}
        if number % 2
        else {"role": "user", "content": QUESTION.format(number)}
        for number in range(messages)
    ]


async def new_user(client: aiohttp.ClientSession, memory: str) -> str:
    """A user with a profile, by the route that both have: the tutorial's reads fail for a user without one."""
    user = new_id("user")
    await introduce(client, f"{memory}/memories/{user}/initialize")
    return user


async def seed(client: aiohttp.ClientSession, memory: str, session_id: str, messages: int) -> None:
    """Give a session that many messages, by the route that both memory services have."""
    url = f"{memory}/conversations/{session_id}"
    async with client.post(url, json={"history": history(messages)}) as response:
        response.raise_for_status()


async def summarize(client: aiohttp.ClientSession, memory: str, session_id: str) -> None:
    """Give a seeded session of ours the summary that it would have, had its messages come turn by turn."""
    url = f"{memory}/conversations/{session_id}"
    async with client.get(url, params={"last": 1}) as response:
        found = await response.json()
    body = {"text": SUMMARY, "through": found["total"], "epoch": found["epoch"]}
    async with client.put(f"{url}/summary", json=body) as response:
        response.raise_for_status()


async def whole_history(client: aiohttp.ClientSession, memory: str, session_id: str) -> list[Entry]:
    """All messages of a session."""
    async with client.get(f"{memory}/conversations/{session_id}") as response:
        response.raise_for_status()
        found: list[Entry] = (await response.json())["history"]
    return found


def message(user_id: str, session_id: str, text: str) -> dict[str, object]:
    """The body of a turn, for `/chat/` and `/chat/stream`."""
    return {"user_id": user_id, "text": text, "metadata": {"session_id": session_id}}


async def succeeded(response: aiohttp.ClientResponse, status: int = 200) -> bool:
    """Whether the answer has that status. Its body is read, and where the status is another one, told."""
    body = await response.read()
    if response.status != status:
        print(f"  {response.method} {response.url.path}: {response.status} {body[:200]!r}", flush=True)
    return response.status == status


async def turn(client: aiohttp.ClientSession, system: MeasuredSystem, user_id: str, session_id: str, text: str) -> bool:
    """One turn; whether it was answered with 200 and, where the service tells, saved."""
    async with client.post(f"{system.chat}/chat/", json=message(user_id, session_id, text)) as response:
        reply = await response.read()
        return response.status == 200 and b'"not_saved"' not in reply


async def timed(call: Callable[P, Awaitable[bool]], *args: P.args, **kwargs: P.kwargs) -> float:
    """The seconds that a call takes. A failed one is told and repeated. Raises CallError when that fails too."""
    for _ in range(ATTEMPTS):
        start = time.perf_counter()
        if await call(*args, **kwargs):
            return time.perf_counter() - start
        print(f"  failed, and not counted: {call.__name__}", flush=True)
    raise CallError(f"{call.__name__} failed {ATTEMPTS} times")


async def closed_loop(calls: Sequence[Callable[[], Awaitable[bool]]], seconds: float) -> Rate:
    """Each call repeated by a user of its own until the time is over; the calls then running are waited for."""
    start = time.perf_counter()
    results: list[bool] = []

    async def user(call: Callable[[], Awaitable[bool]]) -> None:
        while time.perf_counter() - start < seconds:
            results.append(await call())

    await asyncio.gather(*(user(call) for call in calls))
    return Rate(sum(results), len(results) - sum(results), time.perf_counter() - start)
