"""Why a model gave no reply. No text of the endpoint is passed on: it could contain a key."""

from collections.abc import Mapping

import openai

from errors import ModelFailure

RETRY_AFTER_SECONDS = 5
"""Retry-After in seconds when the endpoint gives none. Most rate limits and restarts pass within a few seconds."""
MAX_RETRY_AFTER_SECONDS = 3_600
"""Largest Retry-After passed on, in seconds. Quotas by the day would otherwise stop a client for too long."""


class NotAChatCompletion(openai.OpenAIError):
    """The endpoint answered with success, but not with a chat completion."""


class ModelUnreachable(ModelFailure):
    """No connection to the model's endpoint, or the connection broke before the reply began."""

    status = 503
    code = "model_unreachable"
    detail = (
        "The model's endpoint cannot be reached: check this machine's network, and LLM_BASE_URL if it is set. Then try "
        "again."
    )
    headers: Mapping[str, str] = {"Retry-After": str(RETRY_AFTER_SECONDS)}


class ModelOverloaded(ModelFailure):
    """The model's endpoint is overloaded, or the quota is used up."""

    status = 503
    code = "model_overloaded"
    detail = "The model's endpoint is overloaded or its quota is used up: try again after the time in Retry-After."

    def __init__(self, retry_after: str | None) -> None:
        super().__init__(headers={"Retry-After": str(_seconds(retry_after))})


class ModelTimeout(ModelFailure):
    """The model did not respond in time."""

    status = 504
    code = "model_timeout"
    detail = "The model did not respond in time: try again."


class ModelFailed(ModelFailure):
    """The model's endpoint reported an error of its own."""

    code = "model_failed"
    detail = "The model's endpoint failed: try again."


class ModelKeyRefused(ModelFailure):
    """The model's endpoint does not accept the key."""

    code = "model_key_refused"
    detail = "The model's endpoint refused the key: check LLM_API_KEY or GEMINI_API_KEY."


class ModelUnknown(ModelFailure):
    """The model's endpoint does not have the model."""

    code = "model_unknown"
    detail = "The model's endpoint does not know the model: check LLM_MODEL and LLM_BASE_URL."


class ModelRefusedRequest(ModelFailure):
    """The model's endpoint rejected the request (another 4xx)."""

    code = "model_refused_request"
    detail = "The model's endpoint rejected the request: check the key, LLM_MODEL and LLM_BASE_URL."


class ModelContextTooLong(ModelFailure):
    """The model refused the conversation as too long, also with half of it."""

    code = "model_context_too_long"
    detail = (
        "The conversation is too long for the model: send a shorter message. Operators: set CONTEXT_BUDGET_CHARS to "
        "what fits into the model's context."
    )
    detail_with_summary = (
        "The conversation is too long for the model. A summary of it has been started: send the message again, or "
        "send a shorter one. Operators: set CONTEXT_BUDGET_CHARS to what fits into the model's context."
    )

    is_first_call = True
    """Whether the model gave nothing before, so that the run can begin again with less."""


class SummaryRefused(ModelFailure):
    """The model declined to summarize."""

    code = "summary_refused"


class SummaryCut(ModelFailure):
    """The summary was cut off, by its length or by a filter."""

    code = "summary_cut"


class SummaryTooShort(ModelFailure):
    """The summary is so much shorter than the one that it continues that it cannot hold it."""

    code = "summary_too_short"


class ModelBadResponse(ModelFailure):
    """The endpoint's response is not that of a chat completions API."""

    code = "model_bad_answer"
    detail = "The model's endpoint did not respond as a chat completions API does: check LLM_BASE_URL."


class ModelCutShort(ModelFailure):
    """The stream broke in the middle of the reply."""

    code = "model_cut_short"
    detail = "The model stopped in the middle of its reply: try again."


class ModelEmptyReply(ModelFailure):
    """The model ended its reply without any text."""

    code = "model_empty_reply"
    detail = "The model gave an empty reply: try again, or rephrase the message."


class ModelMisbehaved(ModelFailure):
    """The agent cannot use the model's reply, for example a call of a tool that does not exist."""

    code = "model_misbehaved"
    detail = "The model's reply could not be used: try again."


class ModelToolLoop(ModelFailure):
    """The model called tools again and again without a reply."""

    code = "model_tool_loop"
    detail = "The model kept calling tools without replying: try again, or rephrase the message."


MODEL_FAILURES: tuple[type[ModelFailure], ...] = (
    ModelUnreachable,
    ModelOverloaded,
    ModelTimeout,
    ModelFailed,
    ModelKeyRefused,
    ModelUnknown,
    ModelRefusedRequest,
    ModelContextTooLong,
    ModelBadResponse,
    ModelCutShort,
    ModelEmptyReply,
    ModelMisbehaved,
    ModelToolLoop,
)
"""All that a turn can end with, for the API's description."""


def _seconds(retry_after: str | None) -> int:
    """The endpoint's number of seconds within the limits; a date or any other text counts as no value."""
    if retry_after is None or not retry_after.strip().isdecimal():
        return RETRY_AFTER_SECONDS
    return int(min(max(float(retry_after), 1), MAX_RETRY_AFTER_SECONDS))  # int() refuses thousands of digits
