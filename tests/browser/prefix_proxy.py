"""A proxy that puts a service below a prefix and takes the prefix off, as nginx and oauth2-proxy do."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

PREFIX = "/assistant"
OWN_HEADERS = frozenset({"connection", "content-encoding", "content-length", "host", "keep-alive", "transfer-encoding"})
"""The headers of a connection: each side of the proxy has its own."""


@asynccontextmanager
async def below_prefix(url: str) -> AsyncIterator[tuple[str, list[str]]]:
    """Put the service at `url` below PREFIX. Gives the new address, and the paths requested outside of the prefix."""
    outside: list[str] = []

    async def pass_on(request: web.Request) -> web.StreamResponse:
        if not request.path.startswith(f"{PREFIX}/"):
            outside.append(request.path)
            return web.Response(status=404)
        path = request.raw_path.removeprefix(PREFIX)
        async with session.request(
            request.method, url + path, headers=_passed_on(request.headers), data=await request.read()
        ) as response:
            passed = web.StreamResponse(status=response.status, headers=_passed_on(response.headers))
            await passed.prepare(request)
            async for piece in response.content.iter_any():
                await passed.write(piece)
            await passed.write_eof()
        return passed

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", pass_on)
    runner = web.AppRunner(app, access_log=None)
    async with aiohttp.ClientSession(trust_env=False) as session:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            yield f"http://127.0.0.1:{port}{PREFIX}/", outside
        finally:
            await runner.cleanup()


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in OWN_HEADERS}
