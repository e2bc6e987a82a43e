"""ASGI middleware that each request passes before its route."""

from secrets import compare_digest

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

import trace_context
from api.bodies import MAX_BODY_BYTES, Body, HeldBytes
from api.error_handlers import error_response
from errors import BodyTooLarge, Unauthorized

OPEN_PATHS = ("/health/live", "/health/ready", "/metrics")
"""The paths that need no token: the probes of a platform and Prometheus do not have it. They hold no data."""


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
    """Makes the caller's trace context the current one. No other header of the caller goes on to the sidecar."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on within its trace context."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            trace_context.enter(headers.get("traceparent"), headers.get("tracestate"))
        await self._app(scope, receive, send)
