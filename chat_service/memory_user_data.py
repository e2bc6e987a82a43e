"""Calls to the memory service about what is stored of a user: sessions, the profile, facts, export, erase."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
import httpx

from errors import MemoryFailure
from http_clients import UNBOUNDED
from memory_client import MemoryClient, parsed, quoted
from memory_models import Fact, FactList, Profile, SessionList, Summary

ERASE_TIMEOUT_SECONDS = 50.0
"""Time limit of an erase, in seconds: thousands of sessions. Proxies in front of a service often wait for 60."""
PIECE_SECONDS = 30.0
"""Time limit of one piece of an export, in seconds. The memory service waits as long for its reader."""


class UserDataClient(MemoryClient):
    """What is stored of a user. Its methods raise what those of MemoryClient raise."""

    async def sessions(self, user_id: str, limit: int, cursor: str | None) -> SessionList:
        """The user's sessions after `cursor`, or those with the latest activity."""
        query = f"order=activity&limit={limit}" + (f"&before={quoted(cursor)}" if cursor else "")
        return parsed(await self._get(f"{_of(user_id)}/conversations?{query}"), SessionList)

    async def delete_session(self, session_id: str, user_id: str) -> None:
        """Delete a session. May be repeated."""
        await self._send("DELETE", f"conversations/{quoted(session_id)}?{self._owner(user_id)}")

    async def change_summary(
        self, session_id: str, user_id: str, text: str, through: int | None = None
    ) -> Summary | None:
        """Give the session's summary another text; an empty one removes it. None: there is no summary.

        Rejected with 409 if the summary changes meanwhile, or covers another number of messages than `through`.
        """
        read = await self.recent(session_id, user_id, 1)
        if read.summary is None or read.epoch is None:
            return None
        previous = read.summary if through is None else read.summary.model_copy(update={"through": through})
        changed = Summary(text=text, through=previous.through)
        await self.put_summary(session_id, user_id, changed, read.epoch, previous)
        return changed

    async def change_profile(self, user_id: str, changes: Mapping[str, str]) -> Profile:
        """Change some fields of the user's profile. Returns all of them."""
        return parsed(await self._send("PATCH", _of(user_id), changes), Profile)

    async def facts(self, user_id: str) -> list[Fact]:
        """The user's facts, oldest first."""
        return parsed(await self._get(f"{_of(user_id)}/facts"), FactList).facts

    async def remember(self, user_id: str, text: str, session_id: str | None) -> tuple[Fact, bool]:
        """Store a fact, once. Returns it, and whether it is new."""
        response = await self._send("POST", f"{_of(user_id)}/facts", {"text": text, "session_id": session_id})
        return parsed(response, Fact), response.status_code == httpx.codes.CREATED

    async def correct(self, user_id: str, fact_id: str, text: str) -> Fact:
        """Change the text of a fact."""
        return parsed(await self._send("PATCH", f"{_of(user_id)}/facts/{quoted(fact_id)}", {"text": text}), Fact)

    async def forget(self, user_id: str, fact_id: str) -> None:
        """Remove a fact. May be repeated."""
        await self._send("DELETE", f"{_of(user_id)}/facts/{quoted(fact_id)}")

    async def erase(self, user_id: str) -> None:
        """Erase everything that is stored of the user. May be repeated."""
        await self._send("DELETE", _of(user_id), limit_seconds=ERASE_TIMEOUT_SECONDS)

    @asynccontextmanager
    async def export(self, user_id: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Everything that is stored of the user, as JSON, in pieces. They raise MemoryFailure if they end too early."""
        path = f"{_of(user_id)}/export"
        request = self._http.build_request("GET", path, extensions={UNBOUNDED: True})
        response = await self._checked(self._opened(request))
        try:
            yield _pieces(response)
        finally:
            await response.aclose()

    async def _opened(self, request: httpx.Request) -> httpx.Response:
        """The response, before its body was read; an error with its body."""
        response = await self._http.send(request, stream=True)
        if response.status_code != httpx.codes.OK:
            try:
                await response.aread()
            finally:  # a body that stalls or breaks would keep its connection
                await response.aclose()
        return response

    async def _send(
        self, method: str, path: str, body: object = None, limit_seconds: float | None = None
    ) -> httpx.Response:
        call = self._http.request(method, path, json=body)
        return await self._checked(call, limit_seconds)


async def _pieces(response: httpx.Response) -> AsyncIterator[bytes]:
    pieces = response.aiter_bytes()
    while True:
        try:
            async with asyncio.timeout(PIECE_SECONDS):
                piece = await anext(pieces, None)
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise MemoryFailure from error
        if piece is None:
            return
        yield piece


def _of(user_id: str) -> str:
    return f"memories/{quoted(user_id)}"
