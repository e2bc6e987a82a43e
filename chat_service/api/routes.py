"""The routes. Each passes its request on and returns the result."""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.sse import EventSourceResponse, ServerSentEvent

from agent.progress import Delta, Progress, Waiting
from api.dependencies import RequestedStop, RequestedTurn, ServicesInUse
from api.error_handlers import error_body
from api.openapi import error_responses, stream_error_responses, turn_callback
from errors import (
    BodyTooLarge,
    BodyTooSlow,
    CallbackNotAllowed,
    EmptyText,
    IdempotencyKeyReused,
    InternalError,
    InvalidRequest,
    MemoryNotReady,
    NotOwner,
    Overloaded,
    ServiceError,
    SessionDeleted,
    StoppedEmpty,
    TooManyCallbacks,
    TooManyRequests,
    TooManyTurns,
    TurnNotFound,
    TurnNotKnown,
    TurnNotRunning,
    TurnStopped,
    TurnTimeout,
)
from llm.errors import MODEL_FAILURES
from metrics import Metrics
from models import Response, Status, StreamedDelta, StreamedToolCall
from unexpected_errors import described

TURN_ERRORS: tuple[type[ServiceError], ...] = (
    EmptyText,
    NotOwner,
    SessionDeleted,
    BodyTooSlow,
    BodyTooLarge,
    InvalidRequest,
    IdempotencyKeyReused,
    CallbackNotAllowed,
    InternalError,
    StoppedEmpty,
    TurnNotFound,
    TurnNotKnown,
    TurnTimeout,
    TurnStopped,
    TooManyTurns,
    TooManyRequests,
    TooManyCallbacks,
    Overloaded,
    *MODEL_FAILURES,
)
"""The errors that a turn can end with."""

logger = logging.getLogger("chat_service.api")

router = APIRouter()


StreamEvent = Waiting | Progress | Response


@dataclass(frozen=True)
class OpenStream:
    """A turn's events. The first one has arrived."""

    first: StreamEvent
    rest: AsyncIterator[StreamEvent]


async def open_stream(request: RequestedTurn, services: ServicesInUse) -> AsyncIterator[OpenStream]:
    """Wait for the first event, which comes soon. A failure before it gets its own HTTP status."""
    with services.open_streams.one():
        events = services.running_turns.events(request)
        yield OpenStream(await anext(events), events)


@router.post(
    "/chat/",
    responses=error_responses(*TURN_ERRORS),
    response_model_exclude_none=True,
    callbacks=turn_callback("chat"),
)
async def chat(request: RequestedTurn, services: ServicesInUse) -> Response:
    """Send a message and get the agent's reply."""
    with services.waiting_requests.one():
        return await services.running_turns.reply(request)


@router.post(
    "/chat/stream",
    responses=stream_error_responses(*TURN_ERRORS),
    response_class=EventSourceResponse,
    callbacks=turn_callback("chat_stream"),
)
async def chat_stream(
    stream: Annotated[OpenStream, Depends(open_stream)], services: ServicesInUse
) -> AsyncIterator[ServerSentEvent]:
    """Send a message and get the reply in pieces: events `delta` and `tool`, then `done` or `error`.

    The stream begins with the first event, at the latest after half a second, then with a comment. A failure before
    that has its own HTTP status, a later one is an `error` event, whose `retry` stands for Retry-After.
    """
    try:
        yield _server_sent(stream.first)
        async for event in stream.rest:
            yield _server_sent(event)
    except ServiceError as error:
        yield _error_event(error, services.metrics)
    except Exception as error:  # noqa: BLE001 - the stream has begun, so a bug too ends it with an event
        logger.error("stream failed: %s", described(error))  # noqa: TRY400 - a stack trace holds contents
        yield _error_event(InternalError(), services.metrics)


@router.post(
    "/chat/stop",
    responses=error_responses(*TURN_ERRORS, TurnNotRunning),
    response_model_exclude_none=True,
)
async def stop(request: RequestedStop, services: ServicesInUse) -> Response:
    """Stop a running turn. What the model has said so far is the reply, and its metadata says `stopped`.

    The response is the turn's. If the model had just come to its end, it is the whole reply, without `stopped`.
    """
    with services.waiting_stops.one():
        return await services.running_turns.stop(request)


@router.get("/health/live")
async def live() -> Status:
    """The process responds."""
    return Status(status="ok")


@router.get("/health/ready", responses=error_responses(MemoryNotReady))
async def ready(services: ServicesInUse) -> Status:
    """The memory service and its store can be reached."""
    await services.readiness.check()
    return Status(status="ok")


def _error_event(error: ServiceError, metrics: Metrics) -> ServerSentEvent:
    metrics.error_response(error)
    seconds = error.headers.get("Retry-After")
    return ServerSentEvent(
        event="error",
        raw_data=error_body(error).model_dump_json(),
        retry=None if seconds is None else int(seconds) * 1_000,
    )


def _server_sent(event: StreamEvent) -> ServerSentEvent:
    if isinstance(event, Waiting):
        return ServerSentEvent(comment="waiting for the model")
    if isinstance(event, Response):
        return ServerSentEvent(event="done", raw_data=event.model_dump_json(exclude_none=True))
    if isinstance(event, Delta):
        return ServerSentEvent(event="delta", raw_data=StreamedDelta(text=event.text).model_dump_json())
    tool_call = StreamedToolCall(name=event.name, arguments=event.arguments)
    return ServerSentEvent(event="tool", raw_data=tool_call.model_dump_json())
