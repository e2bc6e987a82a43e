"""The routes: what is asked is handed on, what comes back is answered."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.dependencies import AskedTurn, ServicesInUse
from api.error_handlers import error_body
from api.openapi import STREAM_ERRORS, TURN_ERRORS, UNAVAILABLE, turn_callback
from errors import ServiceError
from models import Delta, Progress, Response, Status, StreamedDelta, StreamedToolCall, Welcome

WELCOME = "Welcome to the DACA Chat Service! Access /docs for the API documentation."

router = APIRouter()


@dataclass(frozen=True)
class OpenStream:
    """A turn's events, the first of them already there."""

    first: Progress | Response
    rest: AsyncIterator[Progress | Response]


async def open_stream(turn: AskedTurn, services: ServicesInUse) -> OpenStream:
    """Wait for the first event: until then a failure is answered by its HTTP status."""
    events = services.turns.events(turn)
    return OpenStream(await anext(events), events)


@router.get("/")
async def root() -> Welcome:
    """Say hello."""
    return Welcome(message=WELCOME)


@router.post("/chat/", responses=TURN_ERRORS, response_model_exclude_none=True, callbacks=turn_callback("chat"))
async def chat(turn: AskedTurn, services: ServicesInUse) -> Response:
    """Send a message, get the agent's reply."""
    return await services.turns.reply(turn)


@router.post(
    "/chat/stream", responses=STREAM_ERRORS, response_class=EventSourceResponse, callbacks=turn_callback("chat_stream")
)
async def chat_stream(stream: Annotated[OpenStream, Depends(open_stream)]) -> AsyncIterator[ServerSentEvent]:
    """Send a message, get the reply as it comes: events `delta`, `tool`, then `done` or `error`."""
    yield _event(stream.first)
    try:
        async for event in stream.rest:
            yield _event(event)
    except ServiceError as error:
        yield ServerSentEvent(event="error", raw_data=error_body(error).model_dump_json())


@router.get("/health/live")
async def live() -> Status:
    """The process answers."""
    return Status(status="ok")


@router.get("/health/ready", responses=UNAVAILABLE)
async def ready(services: ServicesInUse) -> Status:
    """The memory service can be reached and has its store."""
    failure = await services.readiness.failure()
    if failure is not None:
        raise ServiceError(
            503, failure, "The memory service is not ready: replies still come, but are not saved. Try again soon.", 1
        )
    return Status(status="ok")


def _event(event: Progress | Response) -> ServerSentEvent:
    if isinstance(event, Response):
        return ServerSentEvent(event="done", raw_data=event.model_dump_json(exclude_none=True))
    if isinstance(event, Delta):
        return ServerSentEvent(event="delta", raw_data=StreamedDelta(text=event.text).model_dump_json())
    called = StreamedToolCall(name=event.name, arguments=event.arguments)
    return ServerSentEvent(event="tool", raw_data=called.model_dump_json())
