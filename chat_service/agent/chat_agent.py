"""The agent: one run of the model with its tool, whole or piece by piece, and the task to condense a conversation."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime

import openai
from agents import (
    Agent,
    AgentsException,
    MaxTurnsExceeded,
    ModelRefusalError,
    RunConfig,
    RunContextWrapper,
    Runner,
    RunResultStreaming,
    StreamEvent,
    TResponseInputItem,
    function_tool,
    set_tracing_disabled,
)
from openai.types.responses import ResponseFunctionToolCall, ResponseRefusalDeltaEvent, ResponseTextDeltaEvent

from agent.context import ModelInput
from agent.prompts import SUMMARY_INSTRUCTIONS
from agent.provider import Provider
from errors import ModelFailure
from llm import errors as model_errors
from models import Delta, Progress, ToolCall

MAX_MODEL_CALLS = 6  # one reply takes two with a tool; more than a few is a model going in circles

# The SDK reads answers without validating them: one of another shape surfaces as one of these.
_MISSHAPEN = (AttributeError, TypeError, ValueError, KeyError, IndexError)

log = logging.getLogger("chat_service.model")

Emit = Callable[[Progress], None]


@function_tool
async def get_current_time() -> str:
    """The current date and time in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _instructions(run: RunContextWrapper[str], _agent: Agent[str]) -> str:
    return run.context


class ChatAgent:
    """Runs the model. Raises ModelFailure, and nothing that the endpoint wrote leaves here but its reply."""

    def __init__(self, provider: Provider) -> None:
        set_tracing_disabled(True)  # the SDK's tracing would call out
        self.model_name = provider.name
        self._config = RunConfig(model=provider.model, tracing_disabled=True)
        self._chat = Agent[str](name="ChatAgent", instructions=_instructions, tools=[get_current_time])
        self._condense = Agent[str](name="SummaryAgent", instructions=SUMMARY_INSTRUCTIONS)

    async def reply(self, given: ModelInput, emit: Emit | None = None) -> str:
        """The model's reply; with `emit` its pieces go there as they come."""
        if emit is None:
            return await self._run(self._chat, given.messages, given.instructions)
        return await self._run_streamed(given, emit)

    async def condensed(self, task: str) -> str:
        """The summary that the task asks for."""
        return await self._run(self._condense, [{"role": "user", "content": task}], "")

    async def _run(self, agent: Agent[str], messages: list[TResponseInputItem], context: str) -> str:
        try:
            result = await Runner.run(
                agent, messages, context=context, max_turns=MAX_MODEL_CALLS, run_config=self._config
            )
        except ModelRefusalError as refusal:
            return _reply(refusal.refusal)
        except (openai.OpenAIError, AgentsException, *_MISSHAPEN) as error:
            raise _failure(error) from error
        return _reply(result.final_output)

    async def _run_streamed(self, given: ModelInput, emit: Emit) -> str:
        result = Runner.run_streamed(
            self._chat, given.messages, context=given.instructions, max_turns=MAX_MODEL_CALLS, run_config=self._config
        )
        has_begun = False
        try:
            async for event in result.stream_events():
                progress = _progress(event)
                if progress is not None:
                    has_begun = True
                    emit(progress)
        except ModelRefusalError as refusal:
            return _reply(refusal.refusal)
        except (openai.OpenAIError, AgentsException, *_MISSHAPEN) as error:
            failure = _failure(error)
            raise (
                model_errors.cut_short() if has_begun and failure.code == "model_unreachable" else failure
            ) from error
        finally:
            _let_go(result)
        return _reply(result.final_output)


def _progress(event: StreamEvent) -> Progress | None:
    if event.type == "raw_response_event":
        if isinstance(event.data, ResponseTextDeltaEvent | ResponseRefusalDeltaEvent):
            return Delta(event.data.delta)
    elif event.type == "run_item_stream_event" and event.name == "tool_called":
        call = event.item.raw_item
        if isinstance(call, ResponseFunctionToolCall):
            return ToolCall(call.name, call.arguments)
    return None


def _reply(output: object) -> str:
    text = str(output or "")
    if not text.strip():
        raise model_errors.empty_reply()
    return text


def _failure(error: Exception) -> ModelFailure:
    if isinstance(error, MaxTurnsExceeded):
        return model_errors.too_many_calls()
    if isinstance(error, AgentsException):
        return model_errors.misbehaved()
    if isinstance(error, _MISSHAPEN):
        log.error("the model's answer could not be read: %s", type(error).__name__)
    return model_errors.as_model_failure(error)


def _let_go(result: RunResultStreaming) -> None:
    """A run that nobody listens to any more ends."""
    if not result.is_complete:
        result.cancel()
