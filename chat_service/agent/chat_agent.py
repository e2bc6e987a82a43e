"""Runs the model with its tools, whole or streamed, and has it summarize a conversation."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

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
    Tool,
    TResponseInputItem,
    set_tracing_disabled,
)

from agent.context import RunContext
from agent.progress import Delta, Emit, Progress, ToolCall, progress_of
from agent.prompts import SUMMARY_INSTRUCTIONS
from agent.provider import Provider
from agent.refusals import is_refusal
from agent.reply_text import ReplyText, ReplyTextHooks
from agent.tool_spans import with_span
from errors import ModelFailure
from llm.errors import (
    ModelContextTooLong,
    ModelCutShort,
    ModelEmptyReply,
    ModelMisbehaved,
    ModelToolLoop,
    ModelUnreachable,
    SummaryCut,
    SummaryRefused,
    SummaryTooShort,
)
from llm.run_record import RunRecord, recorded_run
from llm.translation import to_model_failure

MAX_MODEL_CALLS = 6
"""Largest number of model calls for one reply. A reply with a tool takes two; many more mean that the model loops."""
LEAST_SHARE = 0.1
"""Smallest length of a summary, as a share of the one that it continues. A shorter one cannot hold what it said."""

_RUN_CONFIG = RunConfig(tracing_disabled=True)
_MALFORMED_RESPONSE = (AttributeError, TypeError, ValueError, KeyError, IndexError, RecursionError)
"""What the SDK raises for a response of the wrong shape: it reads responses without validating them."""

logger = logging.getLogger("chat_service.model")

Context = TypeVar("Context")


@dataclass(frozen=True)
class ModelReply:
    """The text of a reply, and how the model ended it."""

    text: str
    finish: str | None
    """The model's reason to end the reply; None if it gave none."""
    is_cut: bool
    """The model ended the reply for another reason than that it was done."""
    is_refusal: bool
    """The model declined, and its endpoint marked the text as a refusal."""
    is_stopped: bool = False
    """The user stopped the model before its end."""


def _instructions(run: RunContextWrapper[RunContext], _agent: Agent[RunContext]) -> str:
    return run.context.instructions


class ChatAgent:
    """Runs the model. Raises ModelFailure, and passes on no text of the endpoint except its reply."""

    def __init__(self, provider: Provider, tools: Sequence[Tool]) -> None:
        set_tracing_disabled(True)  # the SDK's tracing sends data to OpenAI
        self.model_name = provider.name
        self._chat = Agent[RunContext](
            name="ChatAgent",
            instructions=_instructions,
            tools=[with_span(tool) for tool in tools],
            model=provider.model,
        )
        self._summarizer = Agent[None](
            name="SummaryAgent", instructions=SUMMARY_INSTRUCTIONS, model=provider.summary_model
        )

    async def reply(
        self, context: RunContext, messages: list[TResponseInputItem], emit: Emit | None = None
    ) -> ModelReply:
        """The model's reply. If `emit` is given, it receives the progress as it happens.

        The reply holds all that the model wrote, also before a tool call; it is what the emitted pieces make together.
        """
        if emit is None:
            return await self._run(self._chat, context, messages)
        return await self._run_streamed(context, messages, emit)

    async def summarize(self, so_far: str | None, task: str) -> str:
        """The summary that the task asks for, which continues `so_far`. Raises ModelFailure if the text is none.

        A refusal or a text that was cut off would replace a good summary for good.
        """
        reply = await self._run(self._summarizer, None, [{"role": "user", "content": task}])
        if reply.is_refusal or is_refusal(reply.text):
            raise SummaryRefused
        if reply.is_cut:
            raise SummaryCut
        if so_far is not None and len(reply.text) < LEAST_SHARE * len(so_far):
            raise SummaryTooShort
        return reply.text

    async def _run(self, agent: Agent[Context], context: Context, messages: list[TResponseInputItem]) -> ModelReply:
        text = ReplyText()
        hooks = ReplyTextHooks[Context](text)
        with recorded_run() as record:
            try:
                result = await Runner.run(
                    agent, messages, context=context, max_turns=MAX_MODEL_CALLS, hooks=hooks, run_config=_RUN_CONFIG
                )
            except ModelRefusalError as refusal:
                return _reply(text, refusal.refusal, record, is_marked_refusal=True)
            except (openai.OpenAIError, AgentsException, *_MALFORMED_RESPONSE) as error:
                raise _to_failure(error, record) from error
        return _reply(text, result.final_output, record)

    async def _run_streamed(self, context: RunContext, messages: list[TResponseInputItem], emit: Emit) -> ModelReply:
        text = ReplyText()
        has_begun = False
        with recorded_run() as record:
            result = Runner.run_streamed(
                self._chat, messages, context=context, max_turns=MAX_MODEL_CALLS, run_config=_RUN_CONFIG
            )
            try:
                async for event in result.stream_events():
                    for progress in _grown(text, progress_of(event)):
                        has_begun = True
                        emit(progress)
            except ModelRefusalError as refusal:
                return _reply(text, refusal.refusal, record, is_marked_refusal=True)
            except (openai.OpenAIError, AgentsException, *_MALFORMED_RESPONSE) as error:
                failure = _to_failure(error, record, has_begun=has_begun)
                is_cut_short = has_begun and isinstance(failure, ModelUnreachable)
                raise (ModelCutShort() if is_cut_short else failure) from error
            finally:
                _end_run(result)
        return _reply(text, result.final_output, record)


def _grown(text: ReplyText, progress: Progress | None) -> Iterator[Progress]:
    """Add the progress to the text. Yields what is to be emitted of it."""
    if isinstance(progress, Delta):
        grown = text.add(progress.text)
        if grown:
            yield Delta(grown)
    elif isinstance(progress, ToolCall):
        text.begin_part()
        yield progress


def _reply(text: ReplyText, output: object, record: RunRecord, *, is_marked_refusal: bool = False) -> ModelReply:
    """The reply. The run's output is used only if its text did not come in pieces. Raises ModelEmptyReply."""
    if text.is_part_blank:
        text.add(str(output or ""))
    if text.is_part_blank:
        raise ModelEmptyReply
    return ModelReply(str(text), record.finish, record.is_cut, is_marked_refusal)


def _to_failure(error: Exception, record: RunRecord, *, has_begun: bool = False) -> ModelFailure:
    if isinstance(error, MaxTurnsExceeded):
        return ModelToolLoop()
    if isinstance(error, AgentsException):
        return ModelMisbehaved()
    if isinstance(error, _MALFORMED_RESPONSE):
        logger.error("the model's response could not be read: %s", type(error).__name__)
    failure = to_model_failure(error)
    if isinstance(failure, ModelContextTooLong):
        failure.is_first_call = record.replies == 0 and not has_begun
    return failure


def _end_run(result: RunResultStreaming) -> None:
    """End a run that nobody reads any more, and mark its exception as retrieved, so that asyncio does not print it."""
    if not result.is_complete:
        result.cancel()
    if result.run_loop_task is not None:
        result.run_loop_task.add_done_callback(lambda task: task.cancelled() or task.exception())
