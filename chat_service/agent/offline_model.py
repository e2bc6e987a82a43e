"""The offline model: it runs the whole system without a key. It is deterministic and admits what it is."""

import json
import re
from collections.abc import AsyncIterator
from itertools import count
from uuid import uuid4

from agents import Model, ModelResponse, ModelSettings, ModelTracing, Tool, TResponseInputItem, Usage
from agents.agent_output import AgentOutputSchemaBase
from agents.handoffs import Handoff
from agents.items import TResponseOutputItem, TResponseStreamEvent
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseTextDeltaEvent,
)
from openai.types.responses.response_prompt_param import ResponsePromptParam

from agent.offline_replies import TIME_TOOL, OfflineCall, OfflineInput, reply_to
from llm.run_record import note_reply
from memory_models import ConversationEntry

OFFLINE = "offline"
"""The model's name in replies."""

_PIECE = re.compile(r"\S+\s*|\s+")


class OfflineModel(Model):
    """Answers the tutorial's dialogues from its input only, and does what it is told to remember or forget.

    To ordinary sentences it has fixed replies that say what it is, to any other message it replies what it can do.
    """

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],  # noqa: A002 - the SDK's name
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff],
        tracing: ModelTracing,
        *,
        previous_response_id: str | None = None,
        conversation_id: str | None = None,
        prompt: ResponsePromptParam | None = None,
    ) -> ModelResponse:
        """The whole reply."""
        output = _output(system_instructions, input, tools)
        return ModelResponse(output=[output], usage=Usage(), response_id=None)

    async def stream_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],  # noqa: A002 - the SDK's name
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff],
        tracing: ModelTracing,
        *,
        previous_response_id: str | None = None,
        conversation_id: str | None = None,
        prompt: ResponsePromptParam | None = None,
    ) -> AsyncIterator[TResponseStreamEvent]:
        """The same reply, word by word."""
        output = _output(system_instructions, input, tools)
        numbers = count()
        for piece in _PIECE.findall(_text_of(output)):
            yield ResponseTextDeltaEvent(
                type="response.output_text.delta",
                delta=piece,
                item_id=output.id or OFFLINE,
                content_index=0,
                output_index=0,
                logprobs=[],
                sequence_number=next(numbers),
            )
        yield ResponseCompletedEvent(
            type="response.completed", response=_completed(output), sequence_number=next(numbers)
        )


def _output(
    instructions: str | None, given: str | list[TResponseInputItem], tools: list[Tool]
) -> ResponseOutputMessage | ResponseFunctionToolCall:
    note_reply("stop")
    reply = reply_to(instructions, _offline_input(given), [tool.name for tool in tools])
    if isinstance(reply, OfflineCall):
        return ResponseFunctionToolCall(
            type="function_call",
            id=OFFLINE,
            call_id=f"call_{uuid4().hex}",
            name=reply.tool,
            arguments=json.dumps(dict(reply.arguments)),
        )
    content = ResponseOutputText(type="output_text", text=reply, annotations=[], logprobs=[])
    return ResponseOutputMessage(id=OFFLINE, type="message", role="assistant", status="completed", content=[content])


def _offline_input(given: str | list[TResponseInputItem]) -> OfflineInput:
    """The messages in the SDK's input, and the tool's result if it is the last item."""
    if isinstance(given, str):
        return OfflineInput([ConversationEntry(role="user", content=given)], None)
    messages = []
    tool, tool_output = TIME_TOOL, None
    for item in given:
        role, content = item.get("role"), item.get("content")
        if isinstance(role, str) and isinstance(content, str):
            messages.append(ConversationEntry(role=role, content=content))
        if item.get("type") == "function_call":
            tool = str(item.get("name"))
        tool_output = str(item.get("output")) if item.get("type") == "function_call_output" else None
    return OfflineInput(messages, tool_output, tool)


def _text_of(output: TResponseOutputItem) -> str:
    if not isinstance(output, ResponseOutputMessage):
        return ""
    return "".join(part.text for part in output.content if isinstance(part, ResponseOutputText))


def _completed(output: TResponseOutputItem) -> Response:
    return Response(
        id=OFFLINE,
        object="response",
        created_at=0,
        model=OFFLINE,
        output=[output],
        tools=[],
        tool_choice="auto",
        parallel_tool_calls=False,
    )
