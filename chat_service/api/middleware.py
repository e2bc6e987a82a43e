"""ASGI middleware that every request passes before it reaches a route."""

import asyncio
import logging
from collections.abc import Mapping

import anyio
from opentelemetry.trace import StatusCode
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import trace_context
from api.bodies import Body, HeldBodies
from api.error_handlers import error_response
from errors import InternalError
from tracing import Tracing
from unexpected_errors import described

READ_SECONDS = 30.0
"""How long a client may keep its response waiting, in seconds, all pieces together. The longest reply that memory keeps
takes that long at 4 KB a second."""

LONG_RESPONSE = "long_response"
"""Name in the state of a request whose response may have any length: each of its pieces has READ_SECONDS."""
UNTRACED_PATHS = frozenset({"/health/live", "/metrics"})
"""Paths without a span: they are asked every few seconds and call nobody."""

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
                await error_response(InternalError(), scope)(scope, receive, send)


class TraceContext:
    """Continues the trace of the caller's `traceparent` header, or starts a new trace. With tracing on adds a span."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Enter the trace, then pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        caller = trace_context.enter(headers.get("traceparent"), headers.get("tracestate"))
        if self._tracing.is_on and scope["path"] not in UNTRACED_PATHS:
            await self._traced(scope, receive, send, caller)
        else:
            await self._app(scope, receive, send)

    async def _traced(self, scope: Scope, receive: Receive, send: Send, caller: Mapping[str, str]) -> None:
        with self._tracing.request(scope["method"], caller) as span:

            async def send_noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(StatusCode.ERROR)
                await send(message)

            span.set_attribute("http.request.method", scope["method"])
            try:
                await self._app(scope, receive, send_noted)
            finally:
                route = getattr(scope.get("route"), "path", None)
                if route is not None:
                    span.set_attribute("http.route", route)
                    span.update_name(f"{scope['method']} {route}")


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


class WholeFiles:
    """Ignores the header Range, as HTTP allows: the files are small. The framework refuses a bad one in plain text."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on without it."""
        if scope["type"] == "http":
            scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"range"]
        await self._app(scope, receive, send)


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
