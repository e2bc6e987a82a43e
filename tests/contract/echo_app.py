"""The app that the recorded invocations call: it responds with what it received, or as the path says.

It runs behind a sidecar of any kind: `uvicorn echo_app:app --port N --timeout-keep-alive 120`.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse

ANY = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
SHOWN_WHOLE_BYTES = 4096
"""Larger bodies are shown by their size only."""
POLL_SECONDS = 0.05
"""Time between two looks whether the caller has gone."""

CALLER_HEADERS = frozenset(
    (
        *("accept", "authorization", "content-length", "content-type", "cookie", "dapr-api-token", "dapr-app-id"),
        *("dapr-callee-app-id", "dapr-caller-app-id", "expect", "idempotency-key", "if-match", "keep-alive"),
        *("proxy-authorization", "te", "trailer", "upgrade", "x-custom", "x-request-id"),
    )
)
SIDECAR_HEADERS = frozenset(
    (
        *("accept-encoding", "baggage", "connection", "dapr-caller-namespace", "forwarded", "grpc-trace-bin", "host"),
        *("traceparent", "tracestate", "transfer-encoding", "user-agent", "x-forwarded-for", "x-forwarded-host"),
    )
)

app = FastAPI()
notes: dict[str, str | int] = {}


async def _received(request: Request, shown: frozenset[str]) -> dict[str, object]:
    body = await request.body()
    return {
        "method": request.method,
        "path": request.scope["path"],
        "raw_path": request.scope["raw_path"].decode("latin-1"),
        "query": request.scope["query_string"].decode("latin-1"),
        "headers": {name: value for name, value in sorted(request.headers.items()) if name in shown},
        "body": body.decode("utf-8", "replace") if len(body) <= SHOWN_WHOLE_BYTES else f"{len(body)} bytes",
    }


@app.api_route("/echo", methods=ANY)
@app.api_route("/echo/{rest:path}", methods=ANY)
async def echo(request: Request) -> dict[str, object]:
    """What was received, with the headers that callers set."""
    return await _received(request, CALLER_HEADERS)


@app.api_route("/all", methods=ANY)
async def echo_all(request: Request) -> dict[str, object]:
    """What was received, with the headers that sidecars add as well."""
    return await _received(request, CALLER_HEADERS | SIDECAR_HEADERS)


@app.api_route("/status/{code}", methods=ANY)
async def status(code: int, n: str = "") -> Response:
    """The status in the path. `n` names a note that counts the calls."""
    if n:
        notes[n] = int(notes.get(n, 0)) + 1
    headers = {"retry-after": "7", "x-custom": "from-app", "idempotency-key": "k-1", "cache-control": "no-store"}
    if code in (204, 304):
        return Response(status_code=code, headers=headers)
    if code in (301, 302, 307, 308):
        headers["location"] = "/echo/elsewhere"
    return JSONResponse({"code": code, "detail": f"status {code}"}, code, headers)


@app.get("/count/{name}")
async def count(name: str) -> dict[str, str | int]:
    """A note: how often a status was asked for, or how a slow response ended."""
    return {"value": notes.get(name, 0)}


@app.api_route("/headers", methods=ANY)
async def headers() -> Response:
    """Headers of every kind."""
    response = PlainTextResponse("text body")
    response.headers.update({"x-custom": "from-app", "etag": '"abc"', "retry-after": "3", "cache-control": "no-cache"})
    response.headers.update({"x-request-id": "r-1", "idempotency-key": "k-1", "www-authenticate": "Bearer"})
    response.headers.update({"vary": "Origin", "proxy-authenticate": "Basic", "keep-alive": "timeout=9"})
    response.headers.update({"te": "trailers", "upgrade": "h2c", "location": "/x", "server": "echo"})
    response.headers["traceparent"] = "00-11111111111111111111111111111111-2222222222222222-01"
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


@app.api_route("/raw/{kind}", methods=ANY)
async def raw(kind: str) -> Response:
    """A body that is odd in one way."""
    odd = {
        "empty": Response(b""),
        "notype": Response(b"no content type"),
        "badjson": Response(b'{"a": ', media_type="application/json"),
        "problem": Response(b'{"title":"t","status":409}', 409, media_type="application/problem+json"),
        "empty500": Response(b"", 500),
        "text404": PlainTextResponse("nope", 404),
        "binary": Response(bytes(range(256)), media_type="application/octet-stream"),
        "unicode": Response('"héé €"'.encode(), media_type="application/json"),
    }
    return odd[kind]


@app.get("/big/{size}")
async def big(size: int) -> Response:
    """So many bytes of text."""
    return PlainTextResponse("x" * size)


@app.api_route("/slow/{milliseconds}", methods=ANY)
async def slow(milliseconds: int, request: Request, n: str = "slow") -> dict[str, int | bool]:
    """A response after a while. The note `n` says whether the caller waited for it."""
    notes[n] = "started"
    for _ in range(max(1, milliseconds // int(POLL_SECONDS * 1000))):
        await asyncio.sleep(POLL_SECONDS)
        if await request.is_disconnected():
            notes[n] = "disconnected"
            return {"slow": milliseconds, "disconnected": True}
    notes[n] = "finished"
    return {"slow": milliseconds}


@app.api_route("/sse/{number}/{milliseconds}", methods=["GET", "POST"])
async def events(number: int, milliseconds: int, n: str = "sse", type: str = "text/event-stream") -> Response:  # noqa: A002
    """So many events, so many milliseconds apart. The note `n` says how the stream ended."""
    return StreamingResponse(_events(number, milliseconds, n), media_type=type, headers={"x-custom": "from-app"})


async def _events(number: int, milliseconds: int, name: str) -> AsyncIterator[str]:
    notes[name] = "cut"
    for place in range(number):
        yield f"id: {place}\nevent: token\ndata: {json.dumps({'i': place})}\n\n"
        await asyncio.sleep(milliseconds / 1000)
    notes[name] = "finished"


@app.get("/pid")
async def pid() -> dict[str, int]:
    """The process that responds."""
    return {"pid": os.getpid()}


@app.get("/healthz")
async def healthz() -> dict[str, bool]:
    """Alive."""
    return {"ok": True}
