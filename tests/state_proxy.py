"""A proxy between a memory service and its sidecar: it records every call, and can fail calls or drop responses."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from urllib.parse import unquote

import aiohttp
from aiohttp import web
from pydantic_core import from_json
from yarl import URL

STATE = "/v1.0/state/statestore"
"""The path of the store at a sidecar."""

PASSED_ON = ("content-type", "if-match")
"""The headers of a request that the sidecar gets."""

MAX_BODY_BYTES = 8 * 1024 * 1024
"""The largest body that the proxy passes on: more than Dapr accepts, because the sidecar has to refuse it."""


@dataclass(frozen=True, slots=True)
class StateCall:
    """A request to the state API, as the sidecar received it."""

    method: str
    path: str
    body: bytes

    @property
    def writes(self) -> bool:
        """Whether it saves or deletes."""
        return self.method == "DELETE" or (self.method == "POST" and not self.path.endswith("/bulk"))

    @property
    def keys(self) -> list[str]:
        """The keys that it saves, deletes or reads."""
        if not self.body:
            return [unquote(self.path.removeprefix(f"{STATE}/"))]
        body = from_json(self.body)
        return list(body["keys"]) if isinstance(body, dict) else [item["key"] for item in body]


BeforeCall = Callable[[StateCall], Awaitable[None]]
"""Called before a call is passed on."""

AfterCall = Callable[[StateCall], Awaitable[bool]]
"""Called when the sidecar has responded. True: the response is passed on. False: the connection is cut."""


async def do_nothing(_: StateCall) -> None:
    """Wait for nothing."""


async def pass_on(_: StateCall) -> bool:
    """Pass on every response."""
    return True


def response_of_a_lost_store(call: StateCall) -> web.Response:
    """Return what Dapr responds while its Redis refuses connections (recorded in `contract/`)."""
    if call.path.endswith("/bulk"):
        return web.json_response([{"key": key, "error": "connection refused"} for key in call.keys])
    if call.method == "GET":
        return web.json_response({"errorCode": "ERR_STATE_GET", "message": "connection refused"}, status=500)
    if call.method == "DELETE":
        return web.json_response({"errorCode": "ERR_STATE_DELETE", "message": "connection refused"}, status=409)
    status = 409 if b'"etag"' in call.body else 500
    return web.json_response({"errorCode": "ERR_STATE_SAVE", "message": "connection refused"}, status=status)


def response_of_a_lost_sql_store(call: StateCall) -> web.Response:
    """Return what Dapr responds while its PostgreSQL is stopped: each call fails as a whole."""
    return web.json_response({"errorCode": "ERR_STATE_STORE", "message": "connection refused"}, status=500)


class StateProxy:
    """Passes each call on to the sidecar. `calls` are those that the sidecar responded to, oldest first."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.sidecar_url = ""
        self.port = 0
        self.calls: list[StateCall] = []
        self.before_call: BeforeCall = do_nothing
        self.after_call: AfterCall = pass_on
        self.fails: Callable[[StateCall], bool] = lambda _: False
        """The calls for which the store seems to be down."""
        self.failed_response: Callable[[StateCall], web.Response] = response_of_a_lost_store
        """The response to them."""
        self._session = session

    @property
    def keys_written(self) -> set[str]:
        """Every key that was ever saved or deleted."""
        return {key for call in self.calls if call.writes for key in call.keys}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass on one call, and its response unless `after_call` drops it."""
        body = await request.read()
        call = StateCall(request.method, request.raw_path, body)
        if self.fails(call):
            return self.failed_response(call)
        await self.before_call(call)
        headers = {name: value for name, value in request.headers.items() if name.lower() in PASSED_ON}
        url = URL(self.sidecar_url + request.raw_path, encoded=True)
        async with self._session.request(request.method, url, data=BytesIO(body), headers=headers) as response:
            content = await response.read()
        self.calls.append(call)
        if not await self.after_call(call) and request.transport is not None:
            request.transport.abort()
        kept = {name: value for name, value in response.headers.items() if name.lower() in ("content-type", "etag")}
        return web.Response(status=response.status, body=content, headers=kept)


@asynccontextmanager
async def state_proxy() -> AsyncIterator[StateProxy]:
    """Run a proxy on a free port. The caller sets `sidecar_url` before the first call."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        proxy = StateProxy(session)
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", proxy.handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        proxy.port = runner.addresses[0][1]
        try:
            yield proxy
        finally:
            await runner.cleanup()
