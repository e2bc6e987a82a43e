"""`python -m bench.stores`: what a turn costs the memory service on each kind of store, beside Redis.

The kinds are the folders of `components/`, each behind a local sidecar that speaks its dialect. DAPRD=PATH uses Dapr's
own sidecars: then the stores must run, and the sidecars of other systems must not.
"""

import asyncio
import os
import tempfile
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median

import aiohttp

from bench.load import new_client, new_id, new_user, seed, succeeded, timed
from bench.parts import turn_body
from bench.table import number
from harness.paths import COMPONENTS
from harness.sidecars import sidecars_from_environment
from harness.system import System

STORES = {"redis": COMPONENTS, **{name: COMPONENTS / name for name in ("postgres", "sqlite", "encrypted")}}
"""The resources folders; the first is what the others are compared with."""

KEY = "0123456789abcdef" * 4
"""The key of the encrypted store."""

MESSAGES = 100
"""Length of the sessions when the turns begin."""

ROUNDS = 400
"""Turns of each store. The stores take turns, so that a busy machine slows all alike."""

WARM_UP = 20
"""Turns that are not counted."""


def calls(
    client: aiohttp.ClientSession, memory: str, user: str, session: str
) -> dict[str, Callable[[], Awaitable[bool]]]:
    """Return the two calls of a turn: the read of what it needs, and its append."""

    async def recall() -> bool:
        async with client.get(f"{memory}/memories/{user}/recall?session_id={session}&last=20") as response:
            return await succeeded(response)

    async def append() -> bool:
        body = turn_body(user, "a turn", 1)
        async with client.post(f"{memory}/conversations/{session}/turns", json=body) as response:
            return await succeeded(response, 201)

    return {"read": recall, "append": append}


async def measure(folder: Path) -> dict[str, dict[str, float]]:
    """Return the medians of each store in seconds: of both calls, and of the turn."""
    samples: dict[str, dict[str, list[float]]] = {store: defaultdict(list) for store in STORES}
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(new_client())
        turns = {}
        for store, components in STORES.items():
            (folder / store).mkdir()
            system = await stack.enter_async_context(
                System(folder / store, sidecars=sidecars_from_environment(components))
            )
            memory = system.add_memory(sidecar_env={"MEMORY_ENCRYPTION_KEY": KEY}).url
            await system.start_async()
            user, session = await new_user(client, memory), new_id("session")
            await seed(client, memory, session, MESSAGES)
            turns[store] = calls(client, memory, user, session)
        for turn in range(WARM_UP + ROUNDS):
            for store, parts in turns.items():
                seconds = {part: await timed(call) for part, call in parts.items()}
                if turn >= WARM_UP:
                    for part, taken in {**seconds, "turn": sum(seconds.values())}.items():
                        samples[store][part].append(taken)
    return {store: {part: median(taken) for part, taken in found.items()} for store, found in samples.items()}


def main() -> None:
    """Measure, and print a table."""
    with tempfile.TemporaryDirectory(prefix="bench-stores-") as folder:
        figures = asyncio.run(measure(Path(folder)))
    redis = next(iter(figures.values()))
    sidecars = "Dapr's sidecars" if os.environ.get("DAPRD") else "local sidecars"
    print(f"{sidecars}, sessions of {MESSAGES} messages, medians of {ROUNDS} turns in ms, and the ratio to redis")
    for store, medians in figures.items():
        cells = (f"{part} {number(1000 * it)} ({it / redis[part]:.2f})" for part, it in medians.items())
        print(f"{store:10}", "  ".join(cells))


if __name__ == "__main__":
    main()
