"""What lies between a memory service and its sidecar in some tests: notes every call, loses answers when told to."""

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
MAX_BODY_BYTES = 8 * 1024 * 1024  # more than Dapr takes: it is for the sidecar to refuse


@dataclass(frozen=True, slots=True)
class StateCall:
    """A call to the state API as the sidecar got it: `keys` are those it names."""

    method: str
    path: str
    body: bytes

    @property
    def writes(self) -> bool:
        """Whether it saves or deletes."""
        return self.method == "DELETE" or (self.method == "POST" and not self.path.endswith("/bulk"))

    @property
    def keys(self) -> list[str]:
        """The keys it saves, deletes or reads."""
        if not self.body:
            return [unquote(self.path.removeprefix(f"{STATE}/"))]
        body = from_json(self.body)
        return list(body["keys"]) if isinstance(body, dict) else [item["key"] for item in body]


Answered = Callable[[StateCall], Awaitable[bool]]
"""Called when the sidecar has done a call; whether its answer goes back. False: the connection is cut."""


async def pass_on(_: StateCall) -> bool:
    """Every answer goes back."""
    return True


def answer_of_a_lost_store(call: StateCall) -> web.Response:
    """What Dapr was recorded to answer while its Redis refuses connections."""
    if call.path.endswith("/bulk"):
        return web.json_response([{"key": key, "error": "connection refused"} for key in call.keys])
    if call.method == "GET":
        return web.json_response({"errorCode": "ERR_STATE_GET", "message": "connection refused"}, status=500)
    if call.method == "DELETE":
        return web.json_response({"errorCode": "ERR_STATE_DELETE", "message": "connection refused"}, status=409)
    status = 409 if b'"etag"' in call.body else 500
    return web.json_response({"errorCode": "ERR_STATE_SAVE", "message": "connection refused"}, status=status)


class StateProxy:
    """Passes each call on to the sidecar; `calls` are those the sidecar has done, oldest first."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.sidecar_url = ""
        self.port = 0
        self.calls: list[StateCall] = []
        self.answered: Answered = pass_on
        self.fails: Callable[[StateCall], bool] = lambda _: False
        """Which calls find the store gone."""
        self._session = session

    @property
    def keys_written(self) -> set[str]:
        """Every key that was ever saved."""
        return {key for call in self.calls if call.writes for key in call.keys}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Carry one call, and its answer if it may go back."""
        body = await request.read()
        call = StateCall(request.method, request.raw_path, body)
        if self.fails(call):
            return answer_of_a_lost_store(call)
        headers = {name: value for name, value in request.headers.items() if name.lower() == "content-type"}
        url = URL(self.sidecar_url + request.raw_path, encoded=True)
        async with self._session.request(request.method, url, data=BytesIO(body), headers=headers) as answer:
            content = await answer.read()
        self.calls.append(call)
        if not await self.answered(call) and request.transport is not None:
            request.transport.abort()
        kept = {name: value for name, value in answer.headers.items() if name.lower() in ("content-type", "etag")}
        return web.Response(status=answer.status, body=content, headers=kept)


@asynccontextmanager
async def state_proxy() -> AsyncIterator[StateProxy]:
    """A proxy on a free port; `sidecar_url` is to be set before the first call."""
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
