"""The progress of a streamed run: pieces of the reply, and tool calls."""

from collections.abc import Callable
from dataclasses import dataclass

from agents import StreamEvent
from openai.types.responses import ResponseFunctionToolCall, ResponseRefusalDeltaEvent, ResponseTextDeltaEvent


@dataclass(frozen=True)
class Delta:
    """A piece of the reply, as the model sent it."""

    text: str


@dataclass(frozen=True)
class Waiting:
    """Nothing has happened for a moment. Clients and proxies are to see that the turn is alive."""


@dataclass(frozen=True)
class ToolCall:
    """The model called a tool. `arguments` is the model's JSON."""

    name: str
    arguments: str


Progress = Delta | ToolCall
Emit = Callable[[Progress], None]
"""Receives the progress as it happens."""


def progress_of(event: StreamEvent) -> Progress | None:
    """The progress in an event of the SDK; None if it has none. A refusal is part of the reply."""
    if event.type == "raw_response_event":
        if isinstance(event.data, ResponseTextDeltaEvent | ResponseRefusalDeltaEvent):
            return Delta(event.data.delta)
    elif event.type == "run_item_stream_event" and event.name == "tool_called":
        call = event.item.raw_item
        if isinstance(call, ResponseFunctionToolCall):
            return ToolCall(call.name, call.arguments)
    return None
