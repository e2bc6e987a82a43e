"""The span of one tool call. What the model passed to the tool, and what it returned, is not in it."""

from dataclasses import replace
from typing import Any

from agents import FunctionTool, Tool
from agents.tool_context import ToolContext

from tracing import span


def with_span(tool: Tool) -> Tool:
    """The same tool, each call of which is a span."""
    if not isinstance(tool, FunctionTool):
        return tool
    invoke, name = tool.on_invoke_tool, tool.name

    async def invoke_traced(context: ToolContext[Any], arguments: str) -> Any:  # the SDK passes on what a tool returns
        with span(f"execute_tool {name}") as current:
            current.set_attributes({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name})
            return await invoke(context, arguments)

    return replace(tool, on_invoke_tool=invoke_traced)
