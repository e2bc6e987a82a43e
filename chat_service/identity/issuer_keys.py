"""Keeps the issuer's keys and decides when to fetch them again."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from jwt import PyJWK

from identity.errors import InvalidToken, IssuerUnavailable
from identity.issuer_documents import IssuerFailure
from identity.signing_keys import KeySet

UNKNOWN_KEY_SECONDS = 60.0
"""Shortest time in seconds between two fetches for unknown keys and wrong signatures. Anybody can make them up."""
REFRESH_SECONDS = 600.0
"""Age in seconds at which known keys are fetched again, so that a key that the issuer withdraws is soon refused."""
REFRESH_RETRY_SECONDS = 60.0
"""Seconds between attempts to replace old keys while the issuer is down. The old keys stay in use."""
FIRST_RETRY_SECONDS = 1.0
"""Shortest time in seconds between two attempts while there are no keys at all and no token can be checked."""

UNKNOWN_KEY = "The token is signed with a key that the issuer does not publish: get a new token."

logger = logging.getLogger("chat_service.identity")


class IssuerKeys:
    """The issuer's keys. However many requests wait for a fetch, there is one at a time."""

    def __init__(self, fetch: Callable[[], Awaitable[KeySet]], clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: KeySet | None = None
        self._running: asyncio.Task[None] | None = None
        self._fetched_at = -REFRESH_SECONDS
        self._attempted_at = -REFRESH_RETRY_SECONDS
        self._searched_at = -UNKNOWN_KEY_SECONDS
        self._has_failed = False
        self.generation = 0
        """Number of key sets so far. A token that was checked with an earlier set must be checked again."""

    async def find(self, kid: str | None, algorithm: str) -> PyJWK:
        """The key of a token. Raises InvalidToken for an unknown key, IssuerUnavailable if it cannot be searched."""
        generation = self.generation
        keys = self._keys or await self._first_keys()
        key = keys.find(kid, algorithm)
        if key is None and self.generation == generation:
            key = (await self._newer_keys()).find(kid, algorithm)
        if key is None:
            raise InvalidToken(UNKNOWN_KEY)
        return key

    async def have_changed(self) -> bool:
        """Whether a search, at most one a minute, brought a newer set of keys. False while the issuer is down."""
        generation = self.generation
        try:
            await self._newer_keys()
        except IssuerUnavailable:
            return False
        return self.generation != generation

    def refresh_if_old(self) -> None:
        """Start to fetch the keys again if they are old. Nobody waits for it."""
        now = self._clock()
        is_old = now - self._fetched_at >= REFRESH_SECONDS
        if is_old and now - self._attempted_at >= REFRESH_RETRY_SECONDS:
            self._start()

    async def wait_if_outdated(self) -> None:
        """Wait for the fetch that replaces keys which nobody has refreshed for long, as after a quiet hour.

        They may have been withdrawn. Nobody waits after an attempt has failed: the known keys stay in use then.
        """
        is_outdated = self._keys is not None and self._clock() - self._fetched_at >= 2 * REFRESH_SECONDS
        if is_outdated and not self._has_failed and self._running is not None:
            await asyncio.shield(self._running)

    async def close(self) -> None:
        """Stop a running fetch."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    async def _first_keys(self) -> KeySet:
        if self._running is None and self._has_failed and self._clock() - self._attempted_at < FIRST_RETRY_SECONDS:
            raise IssuerUnavailable(int(FIRST_RETRY_SECONDS))
        await asyncio.shield(self._start())
        if self._keys is None:
            raise IssuerUnavailable(int(FIRST_RETRY_SECONDS))
        return self._keys

    async def _newer_keys(self) -> KeySet:
        """The keys after a search for an unknown one; the same keys if the last search was less than a minute ago."""
        now = self._clock()
        if self._running is not None or now - self._searched_at >= UNKNOWN_KEY_SECONDS:
            self._searched_at = now if self._running is None else self._searched_at
            await asyncio.shield(self._start())
        if self._keys is None or self._has_failed:
            raise IssuerUnavailable(max(1, round(self._searched_at + UNKNOWN_KEY_SECONDS - now)))
        return self._keys

    def _start(self) -> asyncio.Task[None]:
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return self._running

    async def _run(self) -> None:
        self._attempted_at = self._clock()
        try:
            self._keys = await self._fetch()
            self._fetched_at = self._clock()
            self._has_failed = False
            self.generation += 1
            logger.info("issuer keys fetched keys=%d", len(self._keys))
        except IssuerFailure as failure:
            self._has_failed = True
            kept = "the known keys stay in use" if self._keys else "no token can be checked"
            logger.warning("issuer keys not fetched: %s; %s", failure, kept)
        finally:
            self._running = None
