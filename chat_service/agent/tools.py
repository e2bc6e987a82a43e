"""The tools that the agent offers to the model.

To add a tool, write a function with `function_tool` and add it to TOOLS. The model reads the function's name,
parameters and docstring. A tool that needs the user takes `RunContextWrapper[RunContext]` as its first parameter.
"""

from datetime import UTC, datetime

from agents import Tool, function_tool


@function_tool
async def get_current_time() -> str:
    """The current date and time in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


TOOLS: tuple[Tool, ...] = (get_current_time,)
"""Every tool of the chat agent."""
