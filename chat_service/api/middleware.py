"""ASGI middleware that every request passes before it reaches a route."""

import asyncio
import logging

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import trace_context
from api.bodies import Body, HeldBodies
from api.error_handlers import error_response
from errors import InternalError
from unexpected_errors import described

READ_SECONDS = 30.0
"""How long a client may keep its response waiting, in seconds, all pieces together. The longest reply that memory keeps
takes that long at 4 KB a second."""

LONG_RESPONSE = "long_response"
"""Name in the state of a request whose response may have any length: each of its pieces has READ_SECONDS."""

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
    """Refuses request bodies that are too large, arrive too slowly, or exceed what all requests may hold together."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._held = HeldBodies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on. The error handlers respond with 413, 408 or 503."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = Body(receive, self._held)
        try:
            await self._app(scope, body.receive, send)
        finally:
            body.release()


class ReadLimit:
    """Ends a response whose client does not read it: it counts as disconnected, and its turn goes on."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and measure how long its response has to wait for the client."""
        left = READ_SECONDS

        async def send_limited(message: Message) -> None:
            nonlocal left
            started_at = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(left):
                    await send(message)
            except TimeoutError:
                raise anyio.BrokenResourceError from None
            if LONG_RESPONSE not in scope.get("state", {}):
                left -= asyncio.get_running_loop().time() - started_at

        await self._app(scope, receive, send_limited if scope["type"] == "http" else send)


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
