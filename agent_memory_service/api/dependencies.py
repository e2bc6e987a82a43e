"""What the routes get from the app."""

from typing import Annotated

from fastapi import Depends, Request

from memory import Memory


async def _memory(request: Request) -> Memory:
    # async although it awaits nothing: FastAPI runs other functions in a thread.
    memory: Memory = request.app.state.memory
    return memory


MemoryDep = Annotated[Memory, Depends(_memory)]
