"""What checking a token adds to a turn: two chat services on one memory service, with identity on and off."""

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import aiohttp

from bench.load import CallError, message, new_id
from bench.measured import Bench
from bench.plan import Plan
from harness.openid_issuer import OpenIdIssuer
from harness.system import System

REJECTED = 400
"""Status of a message without text. Nothing but the request itself and its token costs time then."""

WARM_UP_ROUNDS = 10
"""Rounds that are not counted."""


@dataclass(frozen=True, slots=True)
class IdentityFigures:
    """Medians in seconds by what was measured."""

    medians: Mapping[str, float]

    @property
    def known_share(self) -> float:
        """The cost of a token that was sent before, by the time of an unchecked turn."""
        return (self.medians["known token"] - self.medians["no token"]) / self.medians["unchecked turn"]

    @property
    def new_share(self) -> float:
        """The cost of a token that is sent for the first time, by the time of an unchecked turn."""
        return (self.medians["new token"] - self.medians["no token"]) / self.medians["unchecked turn"]


async def measure_identity(bench: Bench, plan: Plan) -> IdentityFigures:
    """Measure turns and rejected messages of both chat services alternately."""
    folder = bench.folder / "identity"
    folder.mkdir(exist_ok=True)
    with OpenIdIssuer() as issuer:
        async with System(folder, sidecars=bench.sidecars) as system:
            system.add_memory(bench.env)
            unchecked = system.add_chat(bench.env).url
            checked = system.add_chat({**bench.env, **issuer.env}).url
            await system.start_async()
            return await IdentityBench(bench.client, issuer, unchecked, checked).measure(plan)


class IdentityBench:
    """Measures the chat services at two base URLs."""

    def __init__(self, client: aiohttp.ClientSession, issuer: OpenIdIssuer, unchecked: str, checked: str) -> None:
        self.client = client
        self.issuer = issuer
        self.unchecked = unchecked
        self.checked = checked
        self.samples: dict[str, list[float]] = defaultdict(list)

    async def measure(self, plan: Plan) -> IdentityFigures:
        """Take each measure once in every round; a turn in every tenth, because it takes long."""
        known, sessions = self.issuer.headers("ada"), (new_id("session"), new_id("session"))
        for number in range(-WARM_UP_ROUNDS, plan.identity_rounds):
            new = {"Authorization": f"Bearer {self.issuer.token('ada', jti=str(number))}"}
            measures = {
                "no token": await self._seconds(self.unchecked, {}, new_id("session"), " ", REJECTED),
                "known token": await self._seconds(self.checked, known, new_id("session"), " ", REJECTED),
                "new token": await self._seconds(self.checked, new, new_id("session"), " ", REJECTED),
            }
            if number % 10 == 0:
                measures["unchecked turn"] = await self._seconds(self.unchecked, {}, sessions[0], "a turn", 200)
                measures["checked turn"] = await self._seconds(self.checked, known, sessions[1], "a turn", 200)
            for name, seconds in measures.items():
                if number >= 0:
                    self.samples[name].append(seconds)
        return IdentityFigures({name: median(values) for name, values in self.samples.items()})

    async def _seconds(self, chat: str, headers: dict[str, str], session: str, text: str, status: int) -> float:
        """Return the seconds that a message takes."""
        body = message("ada", session, text)
        start = time.perf_counter()
        async with self.client.post(f"{chat}/chat/", json=body, headers=headers) as response:
            await response.read()
        if response.status != status:
            raise CallError(f"a message got {response.status} instead of {status}")
        return time.perf_counter() - start
