"""The sidecar's HTTP API as one ASGI application. Routes are matched as Dapr's router matches them."""

import secrets
from urllib.parse import unquote_plus

from local_sidecar.errors import ApiError, no_secret_store
from local_sidecar.http import (
    NO_CONTENT,
    TEXT_TYPE,
    Disconnected,
    Message,
    Receive,
    Request,
    Response,
    Send,
    error_response,
    head_error,
)
from local_sidecar.invocation.invoker import Invoker
from local_sidecar.invocation.paths import route_of
from local_sidecar.invocation.relay import CutOff
from local_sidecar.metadata import SidecarMetadata
from local_sidecar.state.routes import StateRoutes

API_TOKEN_HEADER = b"dapr-api-token"
HEALTH_ROUTES = ("/v1.0/healthz", "/v1.0/healthz/outbound")


class Api:
    """The API of one app's sidecar. A request that matches no route is an invocation."""

    def __init__(self, state: StateRoutes, invoke: Invoker, metadata: SidecarMetadata, token: str) -> None:
        self._state = state
        self._invoke = invoke
        self._metadata = metadata
        self._token = token.encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """ASGI: handle one request."""
        request = Request(scope["method"], scope["raw_path"], scope["query_string"], scope["headers"], receive)
        try:
            response = head_error(request) or await self._response(request)
            if response is None:
                await self._invoke(request, send)
                return
        except ApiError as error:
            response = error_response(error)
        except (Disconnected, CutOff):
            return  # uvicorn closes the connection when a response is incomplete
        await response.send(send)

    async def _response(self, request: Request) -> Response | None:
        route = route_of(request.raw_path.decode("latin-1"))
        if self._token and not self._authorized(request, route):
            return Response(401, b"invalid api token\n", [TEXT_TYPE])
        match request.method, [unquote_plus(segment) for segment in route.split("/")[1:]]:
            case method, ["v1.0", "state", *rest]:
                return await self._state_response(request, method, rest)
            case "GET", ["v1.0", "healthz"]:
                return self._metadata.health()
            case "GET", ["v1.0", "healthz", "outbound"]:
                return NO_CONTENT
            case "GET", ["v1.0", "metadata"]:
                return self._metadata.response()
            case "GET", ["v1.0", "secrets", _, _]:
                raise no_secret_store()
            case (("POST" | "PUT"), ["v1.0-alpha1", "state", store, "query"]):
                return self._state.query(store)
        return None

    async def _state_response(self, request: Request, method: str, rest: list[str]) -> Response | None:
        match method, rest:
            case "GET", [store, key]:
                return await self._state.get(store, key)
            case (("POST" | "PUT"), [store]):
                return await self._state.save(request, store)
            case (("POST" | "PUT"), [store, "bulk"]):
                return await self._state.bulk(request, store)
            case (("POST" | "PUT"), [store, "transaction"]):
                return await self._state.transaction(request, store)
            case "DELETE", [store, key]:
                return await self._state.delete(request, store, key)
        return None

    def _authorized(self, request: Request, route: str) -> bool:
        """Whether the caller sent the API token. The token is removed, so that no app gets it."""
        given = request.header(API_TOKEN_HEADER) or b""
        request.headers = [header for header in request.headers if header[0] != API_TOKEN_HEADER]
        exempt = request.method == "GET" and route in HEALTH_ROUTES
        return exempt or secrets.compare_digest(given, self._token)
