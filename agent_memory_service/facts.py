"""Users' facts: short sentences that outlive a session. They are kept in the user's profile document.

So a turn reads them with the profile by one call, an erase of the profile erases them, and a change that reaches the
store after an erase is refused by its etag.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

import fact_list
from conversations import Conversations
from documents import Document
from models import now
from profiles import Check, Profiles, default_profile

Change: TypeAlias = Callable[[Sequence[Document]], list[Document]]
"""Returns the changed facts. Raises ServiceError if the change is refused."""


class Facts:
    """The facts of all users."""

    def __init__(self, profiles: Profiles, conversations: Conversations) -> None:
        self._profiles = profiles
        self._conversations = conversations

    async def all(self, user_id: str) -> list[Document]:
        """Return the user's facts, oldest first. Raises StoreUnavailable."""
        return fact_list.facts_of(await self._profiles.get(user_id))

    async def remember(self, user_id: str, text: str, session_id: str | None) -> tuple[Document, bool]:
        """Store a fact, once, and return it, and whether this request stored it.

        A fact of a session that was deleted is refused: a turn in flight brings nothing back. Raises TooManyFacts,
        SessionDeleted, NotOwner, StoreConflict and StoreUnavailable.
        """
        created_at = now()
        was_there: list[bool] = []

        async def check_session() -> None:
            if session_id is not None:
                await self._conversations.check_owner(session_id, user_id)

        def change(facts: Sequence[Document]) -> list[Document]:
            was_there.append(fact_list.same_text(facts, text) is not None)
            return fact_list.remembered(facts, text, created_at, session_id)

        facts = await self._change(user_id, change, check_session)
        fact = cast(Document, fact_list.same_text(facts, text))
        # An earlier attempt without a response, or another request, may have stored what a later attempt finds.
        return fact, not was_there[0] and fact["created_at"] == created_at

    async def correct(self, user_id: str, fact_id: str, text: str) -> Document:
        """Change the text of a fact. Raises FactUnknown, StoreConflict and StoreUnavailable."""
        facts = await self._change(user_id, lambda facts: fact_list.corrected(facts, fact_id, text))
        return next(fact for fact in facts if fact["fact_id"] == fact_id)

    async def forget(self, user_id: str, fact_id: str) -> None:
        """Remove a fact. May be repeated. Raises StoreConflict and StoreUnavailable."""
        await self._change(user_id, lambda facts: fact_list.forgotten(facts, fact_id))

    async def _change(self, user_id: str, change: Change, check: Check | None = None) -> list[Document]:
        """Change the facts of the user's profile, or of the default one, and return them."""

        def changed(profile: Document | None) -> Document | None:
            before = fact_list.facts_of(profile)
            after = change(before)
            if after == before:
                return profile
            return fact_list.with_facts(profile or default_profile(user_id), after)

        return fact_list.facts_of(await self._profiles.compare_and_swap(user_id, changed, check))
