"""What the tools of one turn may do with the user's memory. Each result is a sentence for the model.

A text that the model reads may try to make it call these tools. So they reach the memory of the turn's user only, and
make a bounded number of small changes, each of which the user sees and can undo.
"""

from collections.abc import Awaitable, Callable

from agent.fact_match import matching
from agent.prompts import MAX_GOAL_CHARS, MAX_NAME_CHARS, MAX_STYLE_CHARS
from errors import MemoryFailure, SessionDeleted, TooManyFacts
from memory_user_data import UserDataClient
from user_models import MAX_FACT_CHARS

MAX_CHANGES = 10
"""Most changes of memory in one turn. A person asks for a few; a text that misuses the tools gets no more."""
NOT_SAVED = "Not saved: "
"""Begins the result of every tool that did not do what it was asked to."""

_MAX_CHARS = {"name": MAX_NAME_CHARS, "preferred_style": MAX_STYLE_CHARS, "goal": MAX_GOAL_CHARS}
_REASONS = {
    TooManyFacts.code: "100 facts are stored, which is the most. Ask the user which one to forget.",
    SessionDeleted.code: "this session was deleted.",
}


class UserMemory:
    """The memory of the user of one turn."""

    def __init__(self, client: UserDataClient, user_id: str, session_id: str) -> None:
        self._client = client
        self._user_id = user_id
        self._session_id = session_id
        self._changes = 0

    async def remember(self, fact: str) -> str:
        """Store a fact with this session, once."""
        text = " ".join(fact.split())
        if not 0 < len(text) <= MAX_FACT_CHARS:
            return f"{NOT_SAVED}a fact has 1 to {MAX_FACT_CHARS} characters. Say it shorter."
        return await self._changed(lambda: self._remember(text))

    async def forget(self, fact: str) -> str:
        """Remove the fact that the text means. Nothing is removed if the text means several or none."""
        return await self._changed(lambda: self._forget(fact))

    async def change_profile(self, field: str, value: str) -> str:
        """Change one field of the profile."""
        text = " ".join(value.split())
        if not 0 < len(text) <= _MAX_CHARS[field]:
            return f"{NOT_SAVED}the value has 1 to {_MAX_CHARS[field]} characters. Say it shorter."
        return await self._changed(lambda: self._change_profile(field, text))

    async def _changed(self, change: Callable[[], Awaitable[str]]) -> str:
        """The result of a change, or why it was not made."""
        self._changes += 1
        if self._changes > MAX_CHANGES:
            return f"{NOT_SAVED}too many changes in one turn. Ask the user to go on in another message."
        try:
            return await change()
        except MemoryFailure as failure:
            reason = _REASONS.get(failure.code, "the memory does not work now. Say so to the user.")
            return f"{NOT_SAVED}{reason}"

    async def _remember(self, text: str) -> str:
        stored, is_new = await self._client.remember(self._user_id, text, self._session_id)
        return f"Remembered: {stored.text}" if is_new else f"Remembered before: {stored.text}"

    async def _forget(self, text: str) -> str:
        found = matching(await self._client.facts(self._user_id), text)
        if not found:
            return f"{NOT_SAVED}no such fact is remembered."
        if len(found) > 1:
            return f"{NOT_SAVED}several facts match. Ask the user which one: {'; '.join(fact.text for fact in found)}"
        await self._client.forget(self._user_id, found[0].fact_id)
        return f"Forgotten: {found[0].text}"

    async def _change_profile(self, field: str, value: str) -> str:
        profile = await self._client.change_profile(self._user_id, {field: value})
        return f"Changed: {field} is now {getattr(profile, field)}"
