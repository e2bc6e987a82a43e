"""ASGI middleware that each request passes before its route."""

from collections.abc import Mapping
from secrets import compare_digest

from opentelemetry.trace import StatusCode
from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import trace_context
from api.bodies import MAX_BODY_BYTES, Body, HeldBytes
from api.error_handlers import error_response
from errors import BodyTooLarge, Unauthorized
from tracing import Tracing

OPEN_PATHS = ("/health/live", "/health/ready", "/metrics")
"""The paths that need no token: the probes of a platform and Prometheus do not have it. They hold no data."""
UNTRACED_PATHS = frozenset({"/health/live", "/metrics"})
"""Paths without a span: they are asked every few seconds and call nobody."""


class RequireAppToken:
    """Refuses requests without the app's token, which Dapr sends if APP_API_TOKEN is set. No token: all may pass."""

    def __init__(self, app: ASGIApp, token: SecretStr | None) -> None:
        self._app = app
        self._token = token.get_secret_value().encode() if token else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or respond with 401."""
        if scope["type"] == "http" and not self._admits(scope):
            await error_response(Unauthorized())(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        if not self._token or scope["path"] in OPEN_PATHS:
            return True
        return compare_digest(Headers(scope=scope).get("dapr-api-token", "").encode(), self._token)


class BodyLimit:
    """Refuses request bodies that are too large, arrive too slowly, or exceed what all requests may hold together."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._held = HeldBytes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or respond with 413, 408 or 503."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif int(Headers(scope=scope).get("content-length", 0)) > MAX_BODY_BYTES:
            await error_response(BodyTooLarge())(scope, receive, send)
        else:
            body = Body(receive, self._held)
            try:
                await self._app(scope, body.receive, send)
            finally:
                body.release()


class TraceContext:
    """Makes the caller's trace context the current one. No other header of the caller goes on to the sidecar.

    With tracing on, the request is a span in it.
    """

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on within its trace context."""
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
