"""The routes beyond the tutorial's: turns, summaries, facts, lists of sessions, deletion, export, health."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api import serializers
from api.dependencies import AppTokenRequired, MemoryDep, StreamLimitDep
from api.openapi import COMMON_ERRORS, KNOWN_FACT, REPLAYED_TURN, Group, error_responses
from errors import (
    BodyTooLarge,
    FactUnknown,
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
    TooManyFacts,
)
from models import (
    AppendedTurn,
    Export,
    Fact,
    FactChange,
    FactId,
    FactList,
    NewFact,
    NewTurn,
    OwnerRequired,
    ProfileChange,
    RecallQuery,
    Recollection,
    SessionId,
    SessionPage,
    SessionsQuery,
    Summary,
    SummaryOffer,
    UserId,
    UserIdQuery,
    UserMetadata,
)
from user_sessions import Order

router = APIRouter()


@router.post(
    "/conversations/{session_id}/turns",
    tags=[Group.SESSIONS],
    status_code=201,
    responses={
        **error_responses(*COMMON_ERRORS, NotOwner, SessionDeleted, BodyTooLarge, HistoryTooLarge),
        **REPLAYED_TURN,
    },
)
async def append_turn(memory: MemoryDep, session_id: SessionId, turn: NewTurn, response: Response) -> AppendedTurn:
    """Add a turn, all of it, once. A repeated `turn_id` gets 200 and the turn as it was stored."""
    appended = await memory.conversations.append(session_id, turn)
    memory.metrics.turn_appended(replayed=appended.replayed)
    if appended.replayed:
        response.status_code = 200
        response.headers["Idempotent-Replayed"] = "true"
    return serializers.appended_turn(session_id, turn.turn_id, appended)


@router.put(
    "/conversations/{session_id}/summary",
    tags=[Group.SESSIONS],
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
    """Store a summary of the first `through` messages. It must cover at least as many as the stored one.

    An empty text removes the summary: the messages stay stored.
    """
    await memory.conversations.summarize(session_id, offer, user_id, owner_required=owner_required)
    return Summary(text=offer.text, through=offer.through)


@router.delete(
    "/conversations/{session_id}",
    tags=[Group.SESSIONS],
    status_code=204,
    responses=error_responses(*COMMON_ERRORS, NotOwner),
)
async def delete_conversation(
    memory: MemoryDep, session_id: SessionId, user_id: UserIdQuery = None, owner_required: OwnerRequired = False
) -> None:
    """Delete a session with all its messages. May be repeated. For a day, requests for the session get 410."""
    await memory.conversations.delete(session_id, user_id, owner_required=owner_required)


@router.patch("/memories/{user_id}", tags=[Group.USERS], responses=error_responses(*COMMON_ERRORS, BodyTooLarge))
async def change_memories(memory: MemoryDep, user_id: UserId, change: ProfileChange) -> UserMetadata:
    """Change some fields of a profile. The response has all of them."""
    profile = await memory.profiles.change(user_id, change.model_dump(exclude_none=True))
    return UserMetadata.model_validate(profile)


@router.get("/memories/{user_id}/facts", tags=[Group.FACTS], responses=error_responses(*COMMON_ERRORS))
async def list_facts(memory: MemoryDep, user_id: UserId) -> FactList:
    """Return a user's facts, oldest first."""
    return serializers.facts(await memory.facts.all(user_id))


@router.post(
    "/memories/{user_id}/facts",
    tags=[Group.FACTS],
    status_code=201,
    responses={**error_responses(*COMMON_ERRORS, NotOwner, SessionDeleted, TooManyFacts, BodyTooLarge), **KNOWN_FACT},
)
async def remember_fact(memory: MemoryDep, user_id: UserId, fact: NewFact, response: Response) -> Fact:
    """Store a fact, once. If its text is there already, 200 and the stored fact."""
    stored, is_new = await memory.facts.remember(user_id, fact.text, fact.session_id)
    if not is_new:
        response.status_code = 200
    return Fact.model_validate(stored)


@router.patch(
    "/memories/{user_id}/facts/{fact_id}",
    tags=[Group.FACTS],
    responses=error_responses(*COMMON_ERRORS, FactUnknown, BodyTooLarge),
)
async def correct_fact(memory: MemoryDep, user_id: UserId, fact_id: FactId, change: FactChange) -> Fact:
    """Change the text of a fact. Its id stays. Another fact with the same text goes."""
    return Fact.model_validate(await memory.facts.correct(user_id, fact_id, change.text))


@router.delete(
    "/memories/{user_id}/facts/{fact_id}",
    tags=[Group.FACTS],
    status_code=204,
    responses=error_responses(*COMMON_ERRORS),
)
async def forget_fact(memory: MemoryDep, user_id: UserId, fact_id: FactId) -> None:
    """Remove a fact. May be repeated."""
    await memory.facts.forget(user_id, fact_id)


@router.get(
    "/memories/{user_id}/recall",
    tags=[Group.USERS],
    response_model=Recollection,
    responses=error_responses(*COMMON_ERRORS, NotOwner, SessionDeleted),
)
async def recall_memories(memory: MemoryDep, user_id: UserId, query: Annotated[RecallQuery, Query()]) -> Response:
    """Return what a turn needs: the profile with the facts, and the newest messages of a session."""
    recalled = await memory.recall.read(
        user_id, query.session_id, query.last, query.turn_id, owner_required=query.owner_required
    )
    return serializers.recollection(user_id, query.session_id, recalled, query.turn_id)


@router.get(
    "/memories/{user_id}/conversations", tags=[Group.SESSIONS], responses=error_responses(*COMMON_ERRORS, StaleCursor)
)
async def list_conversations(
    memory: MemoryDep, user_id: UserId, query: Annotated[SessionsQuery, Query()]
) -> SessionPage:
    """List a user's sessions, the newest first or by activity."""
    part = await memory.sessions.part(user_id, query.cursor, query.limit, Order(query.order))
    return serializers.session_page(part)


@router.get(
    "/memories/{user_id}/export",
    tags=[Group.USERS],
    response_model=Export,
    responses=error_responses(*COMMON_ERRORS, Overloaded),
)
async def export_memories(memory: MemoryDep, streams: StreamLimitDep, user_id: UserId) -> Response:
    """Return everything that is stored of a user."""
    return serializers.export(await memory.exporter.export(user_id), streams)


@router.delete("/memories/{user_id}", tags=[Group.USERS], status_code=204, responses=error_responses(*COMMON_ERRORS))
async def erase_memories(memory: MemoryDep, user_id: UserId) -> None:
    """Erase a user's profile, facts and sessions. May be repeated; a repeat finishes an interrupted erase."""
    await memory.erasure.erase(user_id)


@router.get("/health/live", tags=[Group.SERVICE])
async def live(app_token_required: AppTokenRequired) -> dict[str, str | bool]:
    """Return 200 while the process responds to requests, and say whether other routes demand APP_API_TOKEN."""
    return {"status": "live", "app_token_required": app_token_required}


@router.get(
    "/health/ready",
    tags=[Group.SERVICE],
    responses=error_responses(StoreUnavailable, StoreRefusesWrites, StoreUnsuitable),
)
async def ready(memory: MemoryDep) -> dict[str, str]:
    """Return 200 while a write would succeed. It writes only if no other write showed that."""
    await memory.readiness.check()
    return {"status": "ready"}
