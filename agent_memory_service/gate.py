"""What every request passes before it reaches a route: the app's token, and its trace context taken along."""

from secrets import compare_digest

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from dapr_state import trace_headers
from errors import Unauthorized, response

OPEN_PATHS = "/health/"
"""Answered without the token: a platform's probes do not have it."""
TRACE_HEADERS = ("traceparent", "tracestate")
"""https://www.w3.org/TR/trace-context/; no other header of the caller is passed on."""


class Gate:
    """ASGI middleware; `token` is what Dapr sends to an app with APP_API_TOKEN set, empty demands none."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse with 401, or go on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if not self._admits(scope["path"], headers.get("dapr-api-token", "")):
            await response(Unauthorized())(scope, receive, send)
            return
        trace_headers.set({name: headers[name] for name in TRACE_HEADERS if name in headers})
        await self._app(scope, receive, send)

    def _admits(self, path: str, token: str) -> bool:
        if not self._token or path.startswith(OPEN_PATHS):
            return True
        return compare_digest(token.encode(), self._token.encode())
