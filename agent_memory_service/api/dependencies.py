"""What the routes are given, and the errors they may answer with."""

from typing import Annotated, Any

from fastapi import Depends, Request

from memory import Memory
from models import ErrorBody

_MEANINGS = {
    401: "The app's token is missing",
    403: "The session belongs to another user",
    404: "There is no such session",
    409: "What the request refers to has changed",
    410: "The session was deleted",
    413: "More than the store takes at once",
    422: "The request is not understood; `detail` lists why",
    500: "A part of a history is missing in the store, or the service failed",
    503: "The store does not answer, or too many writers at once; repeat after Retry-After seconds",
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route for its OpenAPI description; every route may answer 401, 422, 500 and 503."""
    told = sorted({401, 422, 500, 503, *statuses})
    return {status: {"model": ErrorBody, "description": _MEANINGS[status]} for status in told}


async def _memory(request: Request) -> Memory:
    # async, though it waits for nothing: FastAPI would run it in a thread otherwise.
    memory: Memory = request.app.state.memory
    return memory


MemoryDep = Annotated[Memory, Depends(_memory)]
