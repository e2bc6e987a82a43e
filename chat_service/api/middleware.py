"""ASGI middleware that every request passes before it reaches a route."""

import logging

import anyio
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import trace_context
from api.error_handlers import error_response
from errors import InternalError
from unexpected_errors import described

MAX_BODY_BYTES = 1024 * 1024
"""Largest request body, in bytes. The longest text allowed takes at most 96 KB as JSON; the rest is room for tags."""

logger = logging.getLogger("chat_service.api")


class ReportUnexpectedErrors:
    """Ends a request that fails with a bug: 500, or a broken connection if the response has begun.

    The bug is logged without its text. The server would print it, and it can hold a conversation.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        has_begun = False

        async def send_noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception as error:
            if scope["type"] != "http":
                raise
            logger.error("request failed: %s", described(error))  # noqa: TRY400 - a stack trace holds contents
            if not has_begun:
                await error_response(InternalError())(scope, receive, send)


class TraceContext:
    """Continues the trace of the caller's `traceparent` header, or starts a new trace."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Enter the trace, then pass the request on."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            trace_context.enter(headers.get("traceparent"), headers.get("tracestate"))
        await self._app(scope, receive, send)


class BodyLimit:
    """Rejects a request body longer than `max_bytes` with 413.

    It raises while the body is read, so that the error handlers build the response. Only an HTTPException passes
    through FastAPI's body reader unchanged.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the bytes received."""
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise HTTPException(413)
            return message

        await self._app(scope, receive_limited if scope["type"] == "http" else receive, send)


class IgnoreClientDisconnects:
    """Ends a stream whose client has disconnected without an error.

    FastAPI closes such a stream while its keep-alive task still writes to it. The task fails with BrokenResourceError
    and the log gets a stack trace: https://github.com/fastapi/fastapi/discussions/15725.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        try:
            await self._app(scope, receive, send)
        except* anyio.BrokenResourceError:
            pass
