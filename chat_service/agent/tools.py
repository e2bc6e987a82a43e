"""The tools that the agent offers to the model.

To add a tool, write a function with `function_tool` and add it to TOOLS. The model reads the function's name,
parameters and docstring. A tool that needs the user takes `RunContextWrapper[RunContext]` as its first parameter: it
reaches that user's memory and nothing else, whatever text made the model call it.
"""

from datetime import UTC, datetime
from typing import Literal

from agents import RunContextWrapper, Tool, function_tool

from agent.context import RunContext


@function_tool
async def get_current_time() -> str:
    """The current date and time in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@function_tool
async def remember(run: RunContextWrapper[RunContext], fact: str) -> str:
    """Remember a fact about the user in later sessions.

    Use it if the user asks for it, or says something about themselves that is of lasting use.

    Args:
        fact: One short sentence of at most 300 characters that can be understood without this conversation.
    """
    return await run.context.memory.remember(fact)


@function_tool
async def forget(run: RunContextWrapper[RunContext], fact: str) -> str:
    """Forget a remembered fact about the user. Use it only if the user asks for it.

    Args:
        fact: The fact, as the list of facts has it.
    """
    return await run.context.memory.forget(fact)


@function_tool
async def change_profile(
    run: RunContextWrapper[RunContext], field: Literal["name", "preferred_style", "goal"], value: str
) -> str:
    """Change one field of the user's profile. Use it only if the user asks for it or states a new value.

    Args:
        field: The field to change.
        value: Its new value.
    """
    return await run.context.memory.change_profile(field, value)


TOOLS: tuple[Tool, ...] = (get_current_time, remember, forget, change_profile)
"""Every tool of the chat agent."""
