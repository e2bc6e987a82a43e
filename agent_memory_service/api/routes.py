"""The routes beyond the tutorial's: turns, summaries, lists of sessions, deletion, export, health."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api import serializers
from api.dependencies import AppTokenRequired, MemoryDep, StreamLimitDep
from api.openapi import COMMON_ERRORS, REPLAYED_TURN, error_responses
from errors import (
    BodyTooLarge,
    HistoryTooLarge,
    NotOwner,
    Overloaded,
    SessionDeleted,
    SessionUnknown,
    StaleCursor,
    StoreRefusesWrites,
    StoreUnavailable,
    StoreUnsuitable,
    SummaryConflict,
)
from models import (
    AppendedTurn,
    Export,
    NewTurn,
    OwnerRequired,
    ProfileChange,
    SessionId,
    SessionPage,
    SessionsQuery,
    Summary,
    SummaryOffer,
    UserId,
    UserIdQuery,
    UserMetadata,
)

router = APIRouter()


@router.post(
    "/conversations/{session_id}/turns",
    status_code=201,
    responses={
        **error_responses(*COMMON_ERRORS, NotOwner, SessionDeleted, BodyTooLarge, HistoryTooLarge),
        **REPLAYED_TURN,
    },
)
async def append_turn(memory: MemoryDep, session_id: SessionId, turn: NewTurn, response: Response) -> AppendedTurn:
    """Add a turn, all of it, once. A repeated `turn_id` gets 200 and the turn as it was stored."""
    appended = await memory.conversations.append(session_id, turn)
    if appended.replayed:
        response.status_code = 200
        response.headers["Idempotent-Replayed"] = "true"
    return serializers.appended_turn(session_id, turn.turn_id, appended)


@router.put(
    "/conversations/{session_id}/summary",
    responses=error_responses(
        *COMMON_ERRORS, NotOwner, SessionUnknown, SummaryConflict, SessionDeleted, BodyTooLarge, HistoryTooLarge
    ),
)
async def put_summary(
    memory: MemoryDep,
    session_id: SessionId,
    offer: SummaryOffer,
    user_id: UserIdQuery = None,
    owner_required: OwnerRequired = False,
) -> Summary:
    """Store a summary of the first `through` messages. It must cover at least as many as the stored one."""
    await memory.conversations.summarize(session_id, offer, user_id, owner_required=owner_required)
    return Summary(text=offer.text, through=offer.through)


@router.delete("/conversations/{session_id}", status_code=204, responses=error_responses(*COMMON_ERRORS, NotOwner))
async def delete_conversation(memory: MemoryDep, session_id: SessionId, user_id: UserIdQuery = None) -> None:
    """Delete a session with all its messages. May be repeated. For a day, requests for the session get 410."""
    await memory.conversations.delete(session_id, user_id)


@router.patch("/memories/{user_id}", responses=error_responses(*COMMON_ERRORS, BodyTooLarge))
async def change_memories(memory: MemoryDep, user_id: UserId, change: ProfileChange) -> UserMetadata:
    """Change some fields of a profile. The response has all of them."""
    profile = await memory.profiles.change(user_id, change.model_dump(exclude_none=True))
    return UserMetadata.model_validate(profile)


@router.get("/memories/{user_id}/conversations", responses=error_responses(*COMMON_ERRORS, StaleCursor))
async def list_conversations(
    memory: MemoryDep, user_id: UserId, query: Annotated[SessionsQuery, Query()]
) -> SessionPage:
    """List a user's sessions, the newest first."""
    return serializers.session_page(await memory.sessions.part(user_id, query.cursor, query.limit))


@router.get("/memories/{user_id}/export", response_model=Export, responses=error_responses(*COMMON_ERRORS, Overloaded))
async def export_memories(memory: MemoryDep, streams: StreamLimitDep, user_id: UserId) -> Response:
    """Return everything that is stored of a user."""
    return serializers.export(await memory.exporter.export(user_id), streams)


@router.delete("/memories/{user_id}", status_code=204, responses=error_responses(*COMMON_ERRORS))
async def erase_memories(memory: MemoryDep, user_id: UserId) -> None:
    """Erase a user's profile and sessions. May be repeated; a repeat finishes an interrupted erase."""
    await memory.erasure.erase(user_id)


@router.get("/health/live")
async def live(app_token_required: AppTokenRequired) -> dict[str, str | bool]:
    """Return 200 while the process responds to requests, and say whether other routes demand APP_API_TOKEN."""
    return {"status": "live", "app_token_required": app_token_required}


@router.get("/health/ready", responses=error_responses(StoreUnavailable, StoreRefusesWrites, StoreUnsuitable))
async def ready(memory: MemoryDep) -> dict[str, str]:
    """Return 200 while a write would succeed. It writes only if no other write showed that."""
    await memory.readiness.check()
    return {"status": "ready"}
