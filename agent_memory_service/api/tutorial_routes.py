"""The tutorial's five routes, over the four functions that `main` defines and the tutorial's tests replace there."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Response

from api import serializers as views
from api.dependencies import MemoryDep, errors
from documents import Document, Entry
from log.page_plan import HEAD_KEEPS
from models import (
    LAST_MESSAGES,
    ConversationHistory,
    ConversationSlice,
    Cursor,
    Identifier,
    NewHistory,
    NewProfile,
    SessionId,
    UserId,
    UserIdQuery,
    UserMetadata,
)

Count = Annotated[int | None, Query(ge=1, le=LAST_MESSAGES)]


@dataclass(frozen=True, slots=True)
class TutorialFunctions:
    """How the routes reach the memory; each looks its function up in `main` when it is called."""

    get_user_metadata: Callable[[str], Awaitable[Document]]
    set_user_metadata: Callable[[str, Document], Awaitable[None]]
    get_conversation_history: Callable[[str], Awaitable[list[Entry]]]
    set_conversation_history: Callable[[str, list[Entry]], Awaitable[None]]


def default_profile(user_id: str) -> UserMetadata:
    """What is taken for the profile of a user who has none."""
    return UserMetadata(name=user_id, preferred_style="casual", goal="chat")


def create(main: TutorialFunctions) -> APIRouter:
    """The routes, in the tutorial's order."""
    router = APIRouter()

    @router.get("/")
    async def root() -> dict[str, str]:
        """Say where the documentation is."""
        return {"message": "Welcome to the DACA Agent Memory Service! Access /docs for the API documentation."}

    @router.get("/memories/{user_id}", responses=errors())
    async def get_memories(user_id: UserId) -> UserMetadata:
        """A user's profile, or the default one."""
        metadata = await main.get_user_metadata(user_id)
        return UserMetadata.model_validate(metadata) if metadata else default_profile(user_id)

    @router.post("/memories/{user_id}/initialize", responses=errors(413))
    async def initialize_memories(user_id: UserId, metadata: NewProfile) -> dict[str, str | UserMetadata]:
        """Keep a profile in the place of what there is."""
        await main.set_user_metadata(user_id, dict(metadata))
        return {"status": "success", "user_id": user_id, "metadata": metadata}

    @router.get(
        "/conversations/{session_id}",
        response_model=ConversationHistory | ConversationSlice,
        responses=errors(403, 409, 410),
    )
    async def get_conversation(
        memory: MemoryDep,
        session_id: SessionId,
        last: Count = None,
        before: Annotated[Cursor | None, Query(description="`before` of the part read last")] = None,
        limit: Count = None,
        user_id: UserIdQuery = None,
        turn_id: Annotated[Identifier | None, Query(description="also give this turn, if it is remembered")] = None,
    ) -> Response | ConversationSlice:
        """The whole history; with `last`, `before` or `turn_id` a part of it, and what is known of the session."""
        if (last, before, limit, turn_id) == (None,) * 4:
            if user_id is not None:
                await memory.conversations.check_owner(session_id, user_id)
            return views.whole(await main.get_conversation_history(session_id))
        if before is not None:
            part = await memory.conversations.before(session_id, before, limit or last or HEAD_KEEPS, user_id, turn_id)
        else:
            part = await memory.conversations.newest(session_id, last or limit or HEAD_KEEPS, user_id, turn_id)
        return views.conversation(session_id, part, turn_id)

    @router.post("/conversations/{session_id}", responses=errors(410, 413))
    async def update_conversation(session_id: SessionId, history: NewHistory) -> dict[str, str]:
        """Put a whole history in the place of what there is. To add to it, append a turn."""
        await main.set_conversation_history(session_id, [dict(entry) for entry in history.history])
        return {"status": "success", "session_id": session_id}

    return router
