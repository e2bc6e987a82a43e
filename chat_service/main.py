"""The chat service, put together: run `uvicorn main:app --port 8010` in this folder."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import httpx2
from agents import Runner  # noqa: F401 - callers replace its `run` here
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from agent.chat_agent import ChatAgent
from agent.provider import Provider, choose_provider
from api.body_limit import BodyLimit
from api.dependencies import Services
from api.error_handlers import add_error_handlers
from api.left_streams import LeftStreams
from api.openapi import describe_callback_url
from api.routes import router
from callbacks import Callbacks, open_callback_http
from health import Readiness
from lifecycle import Background
from memory_client import MemoryClient, open_memory_http
from settings import Settings, load_settings
from shutdown_signals import heard
from turn.in_flight import RunningTurns
from turn.pipeline import Turns
from turn.saving import TurnSaver
from turn.summaries import Summaries
from turn.turn_log import set_up_logging

MAX_BODY_BYTES = 1024 * 1024  # the longest text allowed takes 96 KB as JSON at worst

log = logging.getLogger("chat_service")


def create_app(
    settings: Settings,
    *,
    memory_transport: httpx.AsyncBaseTransport | None = None,
    model_transport: httpx2.AsyncBaseTransport | None = None,
    callback_transport: httpx.AsyncBaseTransport | None = None,
) -> FastAPI:
    """The service; a transport that is given stands in for the network."""
    background = Background()
    provider = choose_provider(settings, model_transport)
    memory_http = open_memory_http(settings, memory_transport)
    callback_http = open_callback_http(callback_transport)
    memory, agent = MemoryClient(memory_http), ChatAgent(provider)
    turns = Turns(
        memory,
        agent,
        TurnSaver(memory, background),
        Summaries(memory, agent, background, settings.context_budget_chars),
        Callbacks(callback_http, settings, background),
        background,
        settings,
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        _announce(provider)
        with heard(lambda: background.begin_stop(settings.shutdown_timeout_seconds)):
            yield
            await background.finish(settings.shutdown_timeout_seconds)
        await memory_http.aclose()
        await callback_http.aclose()
        await provider.close()

    app = FastAPI(
        title="DACA Chat Service",
        description="A chat agent that remembers: one turn, streamed or not, over the memory service",
        version="1.0.0",
        lifespan=lifespan,
    )
    app.state.services = Services(settings, RunningTurns(turns, background), Readiness(memory))
    app.add_middleware(
        CORSMiddleware,
        allow_origins=["http://localhost:3000"],
        allow_credentials=True,
        allow_methods=["*"],
        allow_headers=["*"],
    )
    app.add_middleware(LeftStreams)
    app.add_middleware(BodyLimit, max_bytes=MAX_BODY_BYTES)
    add_error_handlers(app)
    app.include_router(router)
    describe_callback_url(app, settings.callback_allowed_hosts)
    return app


def _announce(provider: Provider) -> None:
    if provider.is_offline:
        log.warning("no GEMINI_API_KEY, LLM_API_KEY or LLM_BASE_URL is set: the offline model answers")
    else:
        log.info("model %s at %s", provider.name, provider.where)


set_up_logging()
app = create_app(load_settings())
