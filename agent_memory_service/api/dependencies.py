"""What the routes get from the app."""

from typing import Annotated

from fastapi import Depends, Request

from api.json_stream import StreamLimit
from memory import Memory


async def _memory(request: Request) -> Memory:
    # async although it awaits nothing: FastAPI runs other functions in a thread.
    memory: Memory = request.app.state.memory
    return memory


MemoryDep = Annotated[Memory, Depends(_memory)]


async def _stream_limit(request: Request) -> StreamLimit:
    limit: StreamLimit = request.app.state.stream_limit
    return limit


StreamLimitDep = Annotated[StreamLimit, Depends(_stream_limit)]


async def _app_token_required(request: Request) -> bool:
    required: bool = request.app.state.app_token_required
    return required


AppTokenRequired = Annotated[bool, Depends(_app_token_required)]
"""Whether callers must send APP_API_TOKEN. A chat service that checks tokens warns at start if they need not."""
