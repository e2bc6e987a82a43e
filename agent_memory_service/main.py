"""Assembles the memory service: `uvicorn main:app --port 8001`, beside a Dapr sidecar on port 3501."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

import errors
from api import routes, tutorial_routes
from api.middleware import Gate
from documents import Document, Entry
from memory import Memory
from settings import load

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")

settings = load()
memory = Memory(settings)


async def get_user_metadata(user_id: str) -> Document:
    """A user's profile, empty where there is none."""
    return await memory.profiles.get(user_id)


async def set_user_metadata(user_id: str, metadata: Document) -> None:
    """Keep a profile in the place of what there is."""
    await memory.profiles.set(user_id, metadata)


async def get_conversation_history(session_id: str) -> list[Entry]:
    """The whole history of a session, oldest message first, empty where there is none."""
    return await memory.conversations.history(session_id)


async def set_conversation_history(session_id: str, history: list[Entry]) -> None:
    """Put a whole history in the place of what there is."""
    await memory.conversations.replace(session_id, history)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Close what the service opened."""
    yield
    await memory.close()


app = FastAPI(
    title="DACA Agent Memory Service",
    description="Profiles and conversations, kept over Dapr state: each turn once, at any length, erased for real.",
    version="1.0.0",
    lifespan=lifespan,
)
app.state.memory = memory
errors.install(app)
app.include_router(
    tutorial_routes.create(
        # Looked up at each call, so that a function replaced here takes effect.
        tutorial_routes.TutorialFunctions(
            get_user_metadata=lambda user_id: get_user_metadata(user_id),
            set_user_metadata=lambda user_id, metadata: set_user_metadata(user_id, metadata),
            get_conversation_history=lambda session_id: get_conversation_history(session_id),
            set_conversation_history=lambda session_id, history: set_conversation_history(session_id, history),
        )
    )
)
app.include_router(routes.router)
app.add_middleware(Gate, token=settings.app_api_token)
app.add_middleware(
    CORSMiddleware,
    allow_origins=["http://localhost:3000", "http://localhost:8010"],
    allow_credentials=True,
    allow_methods=["*"],
    allow_headers=["*"],
)
