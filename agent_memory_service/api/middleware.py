"""What every request passes before it reaches a route: the app's token, its size, its trace context taken along."""

from secrets import compare_digest

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dapr_state import trace_headers
from errors import FRAMEWORK_ERRORS, TooLarge, Unauthorized, response

OPEN_PATHS = "/health/"
"""Answered without the token: a platform's probes do not have it."""
TRACE_HEADERS = ("traceparent", "tracestate")
"""https://www.w3.org/TR/trace-context/; no other header of the caller is passed on."""


MAX_BODY_BYTES = 4 * 1024 * 1024
"""What Dapr lets through to an app, and to its store."""


class Gate:
    """ASGI middleware; `token` is what Dapr sends to an app with APP_API_TOKEN set, empty demands none."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse with 401 or 413, or go on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if not self._admits(scope["path"], headers.get("dapr-api-token", "")):
            await response(Unauthorized())(scope, receive, send)
        elif int(headers.get("content-length", 0)) > MAX_BODY_BYTES:
            await response(TooLarge(FRAMEWORK_ERRORS[413][1]))(scope, receive, send)
        else:
            trace_headers.set({name: headers[name] for name in TRACE_HEADERS if name in headers})
            await self._app(scope, _limited(receive), send)

    def _admits(self, path: str, token: str) -> bool:
        if not self._token or path.startswith(OPEN_PATHS):
            return True
        return compare_digest(token.encode(), self._token.encode())


def _limited(receive: Receive) -> Receive:
    """A body that does not say its length is refused when it gets too long."""
    size = 0

    async def counted() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MAX_BODY_BYTES:
            raise HTTPException(413)
        return message

    return counted
