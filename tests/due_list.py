"""Lets what the memory service has scheduled be due at once: the tests do not wait for an hour."""

import json
import time
from collections.abc import Iterable
from functools import partial
from typing import Any

import httpx

from harness.system import Replica
from tests.calls import repeated, until

MINUTE_SECONDS = 60
BUCKETS = 16
"""The buckets of one minute, as in the service's `log/due_list.py`."""

MINUTES = 64
"""How far ahead something may be scheduled, in minutes: an hour, and some."""

KEYS_AT_ONCE = 256
"""Keys of one bulk read."""


async def make_due(http: httpx.AsyncClient, replica: Replica) -> list[list[Any]]:
    """Move everything that is scheduled into the current minute. Returns the items.

    The store is changed through the replica's sidecar. The memory services may run; they start on the items at their
    next pass over the due list, which a service that starts does first.
    """
    minute = int(time.time()) // MINUTE_SECONDS
    later = await _buckets(http, replica, range(minute + 1, minute + MINUTES))
    items = [item for bucket in later.values() for item in bucket["items"]]
    if items:
        now = [_key(minute, number) for number in range(BUCKETS)]
        taken = await _buckets(http, replica, [minute])
        free = next(key for key in now if key not in taken)
        value = json.dumps({"items": items})  # a text: an encrypted store destroys objects
        saved = await repeated(lambda: http.post(replica.state(), json=[{"key": free, "value": value}]))
        assert saved.status_code == 204
        for key in later:
            await repeated(partial(http.delete, replica.state(key)))
    return items


async def until_nothing_is_due(http: httpx.AsyncClient, replica: Replica) -> None:
    """Wait until the services have worked on everything that is due now."""

    async def done() -> bool:
        minute = int(time.time()) // MINUTE_SECONDS
        return not await _buckets(http, replica, range(minute - 2, minute + 1))

    await until(done, "what is due is done")


def _key(minute: int, number: int) -> str:
    return f"due:{minute}:{number}"


async def _buckets(http: httpx.AsyncClient, replica: Replica, minutes: Iterable[int]) -> dict[str, Any]:
    """Return the buckets of these minutes, by key."""
    keys = [_key(minute, number) for minute in minutes for number in range(BUCKETS)]
    found: dict[str, Any] = {}
    for at in range(0, len(keys), KEYS_AT_ONCE):
        body = {"keys": keys[at : at + KEYS_AT_ONCE]}
        response = await repeated(partial(http.post, replica.state("bulk"), json=body))
        found |= {item["key"]: item["data"] for item in response.json() if item.get("data") is not None}
    return found
