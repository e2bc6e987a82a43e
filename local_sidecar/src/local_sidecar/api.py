"""The sidecar's HTTP API as one ASGI application: routes found as Dapr's router finds them."""

import secrets
from urllib.parse import unquote_plus

from local_sidecar.errors import ApiError
from local_sidecar.http import (
    EMPTY,
    TEXT_TYPE,
    Answer,
    Disconnected,
    Message,
    Receive,
    Request,
    Send,
    refusal,
    refusal_of_head,
)
from local_sidecar.invocation.invoker import Invoker
from local_sidecar.invocation.paths import route_of
from local_sidecar.invocation.relay import CutOff
from local_sidecar.metadata import About
from local_sidecar.state.routes import StateApi
from local_sidecar.unserved import refuse_unserved

API_TOKEN = b"dapr-api-token"
HEALTH_ROUTES = ("/v1.0/healthz", "/v1.0/healthz/outbound")
SAVES = ("POST", "PUT")


class Api:
    """What the sidecar of one app answers. What no route matches is an invocation."""

    def __init__(self, state: StateApi, invoke: Invoker, about: About, token: str) -> None:
        self._state = state
        self._invoke = invoke
        self._about = about
        self._token = token.encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """ASGI: answer one request."""
        request = Request(scope["method"], scope["raw_path"], scope["query_string"], scope["headers"], receive)
        try:
            answer = refusal_of_head(request) or await self._answer(request)
            if answer is None:
                await self._invoke(request, send)
                return
        except ApiError as error:
            answer = refusal(error)
        except (Disconnected, CutOff):
            return  # an answer that is not completed makes the server close the connection
        await answer.send(send)

    async def _answer(self, request: Request) -> Answer | None:
        route = route_of(request.raw_path.decode("latin-1"))
        if self._token and not self._authorized(request, route):
            return Answer(401, b"invalid api token\n", [TEXT_TYPE])
        match request.method, [unquote_plus(segment) for segment in route.split("/")[1:]]:
            case method, ["v1.0", "state", *rest]:
                return await self._state_answer(request, method, rest)
            case "GET", ["v1.0", "healthz"]:
                return self._about.health(request)
            case "GET", ["v1.0", "healthz", "outbound"]:
                return EMPTY
            case "GET", ["v1.0", "metadata"]:
                return self._about.metadata()
            case "PUT", ["v1.0", "metadata", name]:
                return self._about.extend(name, await request.body())
            case (("POST" | "PUT"), ["v1.0-alpha1", "state", store, "query"]):
                return self._state.query(store)
        refuse_unserved(request.method, route)
        return None

    async def _state_answer(self, request: Request, method: str, rest: list[str]) -> Answer | None:
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
        """Whether the caller knows the token, which then goes no further."""
        given = request.header(API_TOKEN) or b""
        request.headers = [header for header in request.headers if header[0] != API_TOKEN]
        exempt = request.method == "GET" and route in HEALTH_ROUTES
        return exempt or secrets.compare_digest(given, self._token)
