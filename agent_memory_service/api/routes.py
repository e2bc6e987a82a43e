"""What the memory does beyond the tutorial: turns, summaries, lists of sessions, deletion, export, health."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api import serializers as views
from api.dependencies import MemoryDep, errors
from api.tutorial_routes import default_profile
from errors import HistoryReplaced, SessionDeleted
from models import (
    SESSIONS_ON_A_PAGE,
    AppendedTurn,
    Cursor,
    ErrorBody,
    Export,
    NewTurn,
    ProfileChange,
    SessionId,
    SessionPage,
    Summary,
    SummaryOffer,
    UserId,
    UserIdQuery,
    UserMetadata,
)

REPLAYED = {"headers": {"Idempotent-Replayed": {"schema": {"type": "string"}, "description": "`true`"}}}

router = APIRouter()


@router.post(
    "/conversations/{session_id}/turns",
    status_code=201,
    responses={
        **errors(403, 410, 413),
        200: {"model": AppendedTurn, "description": "Was there before", **REPLAYED},
    },
)
async def append_turn(memory: MemoryDep, session_id: SessionId, turn: NewTurn, response: Response) -> AppendedTurn:
    """Add a turn, whole and once. The same `turn_id` again answers 200 with the turn as it was recorded."""
    done = await memory.conversations.append(session_id, turn)
    if done.replayed:
        response.status_code = 200
        response.headers["Idempotent-Replayed"] = "true"
    return views.appended(session_id, turn.turn_id, done)


@router.put("/conversations/{session_id}/summary", responses=errors(404, 409, 410, 413))
async def put_summary(memory: MemoryDep, session_id: SessionId, offer: SummaryOffer) -> Summary:
    """Keep a summary of the first `through` messages; it only ever moves forward."""
    await memory.conversations.summarize(session_id, offer)
    return Summary(text=offer.text, through=offer.through)


@router.delete("/conversations/{session_id}", status_code=204, responses=errors(403))
async def delete_conversation(memory: MemoryDep, session_id: SessionId, user_id: UserIdQuery = None) -> None:
    """Delete a session with all its messages. May be repeated; for a day its id answers 410."""
    await memory.conversations.delete(session_id, user_id)


@router.patch("/memories/{user_id}", responses=errors(413))
async def change_memories(memory: MemoryDep, user_id: UserId, change: ProfileChange) -> UserMetadata:
    """Change some fields of a profile. Answers the whole."""
    changes = change.model_dump(exclude_none=True)
    default = default_profile(user_id).model_dump()
    profile = await memory.profiles.change(user_id, changes, default)
    return UserMetadata.model_validate(profile or default)


@router.get("/memories/{user_id}/conversations", responses=errors(409))
async def list_conversations(
    memory: MemoryDep,
    user_id: UserId,
    limit: Annotated[int, Query(ge=1, le=SESSIONS_ON_A_PAGE)] = 20,
    before: Annotated[Cursor | None, Query(description="`before` of the part read last")] = None,
) -> SessionPage:
    """A user's sessions, newest created first."""
    number, _, epoch = (before or "").partition("-")
    page = await memory.sessions.page(user_id, int(number) if number else None, limit)
    if page is not None and epoch not in ("", page.epoch):
        raise HistoryReplaced
    return views.session_page(page)


@router.get("/memories/{user_id}/export", responses=errors())
async def export_memories(memory: MemoryDep, user_id: UserId) -> Export:
    """Everything that is kept about a user."""
    profile = await memory.profiles.get(user_id)
    export = Export(
        user_id=user_id, profile=UserMetadata.model_validate(profile) if profile else None, conversations=[]
    )
    page = await memory.sessions.page(user_id, None, SESSIONS_ON_A_PAGE)
    while page is not None:
        for session in page.sessions:
            try:
                history = await memory.conversations.whole(session.session_id, user_id)
            except SessionDeleted:
                continue
            if history is not None:
                export.conversations.append(views.exported(session, history))
        if page.before is None:
            break
        page = await memory.sessions.page(user_id, page.before, SESSIONS_ON_A_PAGE)
    return export


@router.delete("/memories/{user_id}", status_code=204, responses=errors())
async def erase_memories(memory: MemoryDep, user_id: UserId) -> None:
    """Erase a user's profile and sessions. May be repeated, and finishes an erase that was interrupted."""
    await memory.erasure.erase(user_id)


@router.get("/health/live")
async def live() -> dict[str, str]:
    """Whether the process serves."""
    return {"status": "live"}


@router.get("/health/ready", responses={503: {"model": ErrorBody, "description": "The store does not answer"}})
async def ready(memory: MemoryDep) -> dict[str, str]:
    """Whether the store answers through the sidecar."""
    await memory.readiness.check()
    return {"status": "ready"}
