"""A client that leaves its stream is no fault of the service's."""

import anyio
from starlette.types import ASGIApp, Receive, Scope, Send


class LeftStreams:
    """ASGI middleware that ends such a request in silence.

    FastAPI closes the stream under its own keep-alive task, which then fails with BrokenResourceError, and a stack
    trace in the log for each client that leaves: https://github.com/fastapi/fastapi/discussions/15725.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        try:
            await self._app(scope, receive, send)
        except* anyio.BrokenResourceError:
            pass
