"""ASGI middleware that finds the user of a request before anything else of it is read."""

from starlette.types import ASGIApp, Receive, Scope, Send

from api.error_handlers import error_response
from errors import ServiceError
from identity.authentication import Identity
from page.files import PREFIX

OPEN_PATHS = frozenset(
    {
        *(
            "/",
            "/health/live",
            "/health/ready",
            "/metrics",
            "/docs",
            "/docs/oauth2-redirect",
            "/redoc",
            "/openapi.json",
        ),
        *(f"/docs/assets/{name}" for name in ("swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js")),
        "/docs/assets/favicon.png",
    }
)
"""The only paths that need no token, beside the files of the page. None of them gives or takes a person's data. A
proxy in front may keep `/metrics` from strangers (docs/operations.md)."""
USER_STATE = "user"
"""Name of the token's user in the state of a request."""


class RequireToken:
    """Refuses a request without a valid token before its body is read. Every path needs one, except OPEN_PATHS."""

    def __init__(self, app: ASGIApp, identity: Identity) -> None:
        self._app = app
        self._identity = identity

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the token's user, then pass the request on."""
        if scope["type"] == "http" and not is_open(scope):
            try:
                user = await self._identity.user(scope["headers"])
            except ServiceError as error:
                await error_response(error, scope)(scope, receive, send)
                return
            scope.setdefault("state", {})[USER_STATE] = user
        await self._app(scope, receive, send)


def is_open(scope: Scope) -> bool:
    """Whether the path of a request is open. A server behind a proxy may give it with the proxy's prefix."""
    path: str = scope["path"]
    path = path.removeprefix(scope.get("root_path", ""))
    return path in OPEN_PATHS or path.startswith(PREFIX)
