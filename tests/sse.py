"""Reads server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its kind and its data, a JSON object."""

    kind: str
    data: dict[str, str]


async def events(response: httpx.Response) -> AsyncIterator[Event]:
    """Yield the events of a response as they arrive. Comments are skipped."""
    kind, data = "message", ""
    async for line in response.aiter_lines():
        name, _, value = line.partition(":")
        if name == "event":
            kind = value.strip()
        elif name == "data":
            data += value.strip()
        elif not line and data:
            yield Event(kind, json.loads(data))
            kind, data = "message", ""
