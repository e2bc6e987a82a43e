"""Assembles the chat service.

In this folder, beside a sidecar on port 3500:

    ../.venv/bin/uvicorn main:app --port 8010 --http bounded_http:BoundedHttp

`dapr.yaml` has the other options that it is started with.
"""

import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx
import httpx2
from agents import Runner  # noqa: F401 - the tutorial's tests patch `main.Runner.run`
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from agent.chat_agent import ChatAgent
from agent.provider import Provider, choose_provider
from agent.tools import TOOLS
from api import summary_routes, user_routes
from api.dependencies import Services
from api.docs_pages import add_docs_pages
from api.error_handlers import add_error_handlers
from api.middleware import (
    BodyLimit,
    IgnoreClientDisconnects,
    ReadLimit,
    ReportUnexpectedErrors,
    TraceContext,
    WholeFiles,
)
from api.openapi import complete_description, describe_callback_url, describe_groups
from api.openapi_identity import describe_identity
from api.page_routes import page_router
from api.require_token import RequireToken
from api.routes import router
from api.scrape import router as scrape_router
from callbacks import Callbacks, open_callback_http
from errors import TooManyRequests, TooManyTurns
from health import Readiness
from identity.authentication import Identity, open_identity
from lifecycle import BackgroundTasks
from logging_setup import configure_logging
from memory_protection import warn_if_unprotected
from memory_user_data import UserDataClient
from metrics import Metrics
from page.files import PREFIX, PageFiles
from page.rendering import MAX_RENDERINGS
from setting_hints import setting_hints
from settings import Settings, load_settings
from shutdown_signals import on_stop_signal
from sidecar_http import open_memory_http
from slots import Slots
from tracing import Tracing, open_tracing
from turn.in_flight import RunningTurns
from turn.pipeline import TurnPipeline
from turn.saving import TurnSaver
from turn.summaries import Summaries
from turn.unsaved import UnsavedReplies
from unexpected_errors import loop_errors_without_contents

logger = logging.getLogger("chat_service.main")


def create_app(
    settings: Settings,
    *,
    memory_transport: httpx.AsyncBaseTransport | None = None,
    model_transport: httpx2.AsyncBaseTransport | None = None,
    callback_transport: httpx.AsyncBaseTransport | None = None,
    issuer_transport: httpx.AsyncBaseTransport | None = None,
) -> FastAPI:
    """The service. A transport replaces the network in tests."""
    background = BackgroundTasks()
    metrics, tracing = Metrics(), open_tracing(settings)
    provider = choose_provider(settings, model_transport)
    memory_http = open_memory_http(settings, memory_transport)
    callback_http = open_callback_http(callback_transport)
    identity = open_identity(settings, issuer_transport)
    memory, agent = UserDataClient(memory_http, owner_required=settings.owner_required), ChatAgent(provider, TOOLS)
    unsaved = UnsavedReplies()
    pipeline = TurnPipeline(
        memory,
        agent,
        TurnSaver(memory, background),
        Summaries(memory, agent, background, settings.context_budget_chars, metrics),
        unsaved,
        settings,
        metrics,
    )
    callbacks = Callbacks(callback_http, settings, background, metrics)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        _log_provider(provider)
        _log_identity(identity)
        for hint in setting_hints(settings):
            logger.warning(hint)
        with loop_errors_without_contents():
            if identity is not None:
                identity.prepare()
                background.start(warn_if_unprotected(memory, background), is_dispensable=True)
            with on_stop_signal(lambda: background.begin_stop(settings.shutdown_timeout_seconds)):
                yield
                await background.finish(settings.shutdown_timeout_seconds)
            await memory_http.aclose()
            await callback_http.aclose()
            await provider.close()
            await tracing.close()
            if identity is not None:
                await identity.close()

    app = FastAPI(
        title="DACA Chat Service",
        description="A chat agent that remembers: one turn, streamed or not, over the memory service",
        version="1.0.0",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # FastAPI's spans have paths with ids
    )
    running = Slots(settings.max_running_turns, TooManyTurns)
    metrics.watch_running_turns(lambda: running.taken)
    app.state.services = Services(
        settings,
        RunningTurns(pipeline, callbacks, background, running),
        Readiness(memory),
        memory,
        unsaved,
        metrics,
        waiting_requests=Slots(settings.max_waiting_requests, TooManyRequests),
        waiting_stops=Slots(settings.max_waiting_requests, TooManyRequests),
        open_streams=Slots(settings.max_open_streams, TooManyRequests),
        renderings=Slots(MAX_RENDERINGS, TooManyRequests),
    )
    _add_middleware(app, settings, identity, tracing)
    add_error_handlers(app)
    add_docs_pages(app)
    app.include_router(router)
    app.include_router(user_routes.router)
    app.include_router(summary_routes.router)
    app.include_router(scrape_router)
    app.include_router(page_router)
    app.mount(PREFIX, PageFiles())
    complete_description(
        app,
        describe_groups,
        partial(describe_callback_url, allowed_hosts=settings.callback_allowed_hosts),
        partial(describe_identity, is_on=identity is not None),
    )
    return app


def _add_middleware(app: FastAPI, settings: Settings, identity: Identity | None, tracing: Tracing) -> None:
    """The last one added runs first. So a browser's preflight needs no token, and may read why a token is refused."""
    app.add_middleware(WholeFiles)
    if identity is not None:
        app.add_middleware(RequireToken, identity=identity)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_credentials=True,
        allow_methods=["*"],
        allow_headers=["*"],
    )
    app.add_middleware(IgnoreClientDisconnects)
    app.add_middleware(BodyLimit)
    app.add_middleware(ReadLimit)
    app.add_middleware(TraceContext, tracing=tracing)
    app.add_middleware(ReportUnexpectedErrors)


def _log_identity(identity: Identity | None) -> None:
    if identity is None:
        logger.info("identity is off: the user is whoever a request says; set OIDC_ISSUER to ask for tokens")
    else:
        issuer = identity.issuer
        logger.info(
            "identity is on issuer=%s audience=%s claim=%s", issuer.url, ",".join(issuer.audiences), issuer.user_claim
        )


def _log_provider(provider: Provider) -> None:
    if provider.is_offline:
        logger.warning("no GEMINI_API_KEY, LLM_API_KEY or LLM_BASE_URL is set: the offline model answers")
    else:
        logger.info("model %s at %s", provider.name, provider.location)


configure_logging()
app = create_app(load_settings())
# What is imported stays: the collector need not look through it. Requests leave few cycles: it need not look often.
gc.freeze()
gc.set_threshold(10_000, 20, 20)
