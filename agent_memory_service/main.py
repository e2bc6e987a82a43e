"""The memory service: the app, and the tutorial's five routes.

In this folder, beside a sidecar on port 3501:

    ../.venv/bin/uvicorn main:app --port 8001

`dapr.yaml` has the other options that it is started with.

The tutorial's tests patch four functions of this module. The routes look them up at each call, so a patch takes effect.
"""

import gc
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Query, Response
from fastapi.middleware.cors import CORSMiddleware

from api import routes, scrape, serializers
from api.dependencies import MemoryDep, StreamLimitDep
from api.docs_pages import add_docs_pages
from api.error_handlers import add_error_handlers
from api.json_stream import StreamLimit
from api.middleware import BodyLimit, RequireAppToken, TraceContext
from api.openapi import COMMON_ERRORS, GROUPS, Group, error_responses
from dapr_wire import SidecarTransport, connect
from documents import Document, Entry
from errors import BodyTooLarge, NotOwner, Overloaded, SessionDeleted, StaleCursor
from logging_setup import configure_logging
from memory import Memory
from models import (
    ConversationHistory,
    ConversationQuery,
    ConversationSlice,
    MemoriesQuery,
    NewHistory,
    NewProfile,
    SessionId,
    UserId,
    UserMemories,
    UserMetadata,
)
from profiles import default_profile
from settings import Settings, load_settings
from tracing import open_tracing

_request_memory: ContextVar[Memory] = ContextVar("request_memory")


async def _enter_memory(memory: MemoryDep) -> None:
    """Let the four functions use the memory of the app that handles this request."""
    _request_memory.set(memory)


def _memory() -> Memory:
    """The memory of the current request's app; outside of a request, that of this module's app."""
    memory: Memory = _request_memory.get(app.state.memory)
    return memory


async def get_user_metadata(user_id: str) -> Document:
    """Return a user's profile, empty if there is none."""
    return await _memory().profiles.get(user_id)


async def set_user_metadata(user_id: str, metadata: Document) -> None:
    """Store a user's profile and overwrite the one before."""
    await _memory().profiles.set(user_id, metadata)


async def get_conversation_history(session_id: str) -> list[Entry] | AsyncGenerator[Sequence[Entry], None]:
    """Return the whole history of a session, the oldest message first; empty if there is none.

    A history of many megabytes is returned in parts, which are read while they are used.
    """
    return await _memory().conversations.read_history(session_id)


async def set_conversation_history(session_id: str, history: list[Entry]) -> None:
    """Replace the whole history of a session."""
    await _memory().conversations.replace(session_id, history)


router = APIRouter(dependencies=[Depends(_enter_memory)])


@router.get("/", tags=[Group.SERVICE])
async def root() -> dict[str, str]:
    """Say where the documentation is."""
    return {"message": "Welcome to the DACA Agent Memory Service! Access /docs for the API documentation."}


@router.get(
    "/memories/{user_id}",
    tags=[Group.USERS],
    response_model=UserMemories | UserMetadata,
    responses=error_responses(*COMMON_ERRORS),
)
async def get_memories(user_id: UserId, query: Annotated[MemoriesQuery, Query()]) -> UserMetadata:
    """Return a user's profile, or the default one; with `facts` also the facts."""
    if query.new_session_id:
        profile = await _memory().recall.read_new(user_id, query.new_session_id)
    else:
        profile = await get_user_metadata(user_id)
    memories = serializers.memories(profile, default_profile(user_id))
    return memories if query.facts else UserMetadata.model_validate(memories.model_dump())


@router.post(
    "/memories/{user_id}/initialize", tags=[Group.USERS], responses=error_responses(*COMMON_ERRORS, BodyTooLarge)
)
async def initialize_memories(user_id: UserId, metadata: NewProfile) -> dict[str, str | UserMetadata]:
    """Store a user's profile and overwrite the one before. The facts stay."""
    await set_user_metadata(user_id, dict(metadata))
    return {"status": "success", "user_id": user_id, "metadata": metadata}


@router.get(
    "/conversations/{session_id}",
    tags=[Group.SESSIONS],
    response_model=ConversationHistory | ConversationSlice,
    responses=error_responses(*COMMON_ERRORS, NotOwner, StaleCursor, SessionDeleted, Overloaded),
)
async def get_conversation(
    memory: MemoryDep, streams: StreamLimitDep, session_id: SessionId, query: Annotated[ConversationQuery, Query()]
) -> Response | ConversationSlice:
    """Return the whole history; with `last`, `before` or `turn_id` a part of it, and the state of the session."""
    if query.is_whole:
        if query.user_id is None:
            history = await get_conversation_history(session_id)
        else:
            owner_required = query.owner_required
            history = await memory.conversations.read_history(session_id, query.user_id, owner_required=owner_required)
        return serializers.whole_history(history, streams)
    part = await memory.conversations.read_part(
        session_id,
        query.count,
        query.cursor,
        user_id=query.user_id,
        turn_id=query.turn_id,
        owner_required=query.owner_required,
    )
    return serializers.conversation(session_id, part, query.turn_id, streams)


@router.post(
    "/conversations/{session_id}",
    tags=[Group.SESSIONS],
    responses=error_responses(*COMMON_ERRORS, SessionDeleted, BodyTooLarge),
)
async def update_conversation(session_id: SessionId, history: NewHistory) -> dict[str, str]:
    """Replace the whole history of a session. To add to it, append a turn."""
    await set_conversation_history(session_id, [dict(entry) for entry in history.history])
    return {"status": "success", "session_id": session_id}


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    await app.state.memory.start()
    yield
    await app.state.memory.close()
    await app.state.tracing.close()


def create_app(settings: Settings, *, sidecar_transport: SidecarTransport | None = None) -> FastAPI:
    """Create an app with its own memory. A test passes the transport of a fake sidecar."""
    app = FastAPI(
        title="DACA Agent Memory Service",
        description="Profiles and conversations over Dapr state: each turn once, at any length, erased completely.",
        version="1.0.0",
        lifespan=_lifespan,
        openapi_tags=GROUPS,
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # FastAPI's spans have paths with ids
    )
    app.state.memory = Memory(settings, sidecar_transport or connect())
    app.state.tracing = open_tracing(settings)
    app.state.stream_limit = StreamLimit()
    app.state.app_token_required = settings.app_api_token is not None
    add_error_handlers(app)
    add_docs_pages(app)
    app.include_router(router)
    app.include_router(routes.router)
    app.include_router(scrape.router)
    # The middleware added last runs first.
    app.add_middleware(TraceContext, tracing=app.state.tracing)
    app.add_middleware(BodyLimit)
    app.add_middleware(RequireAppToken, token=settings.app_api_token)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_credentials=True,
        allow_methods=["*"],
        allow_headers=["*"],
    )
    return app


configure_logging()
app = create_app(load_settings())
# What is imported stays: the collector need not look through it. Requests leave few cycles: it need not look often.
gc.freeze()
gc.set_threshold(10_000, 20, 20)
