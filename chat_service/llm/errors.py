"""The failures of a model's endpoint in this service's words. Nothing that the endpoint wrote is passed on."""

from collections.abc import Mapping

import openai

from errors import ModelFailure

RETRY_AFTER_SECONDS = 5  # where the endpoint names no time of its own
MAX_RETRY_AFTER_SECONDS = 3_600


class NotAModelAnswer(openai.OpenAIError):
    """The endpoint answered well, but not as a chat completions endpoint does."""


def as_model_failure(error: Exception) -> ModelFailure:
    """What a failed call of the endpoint means for the client."""
    if isinstance(error, openai.APIStatusError):
        return _of_status(error.status_code, error.response.headers)
    if isinstance(error, openai.APITimeoutError):
        return ModelFailure(504, "model_timeout", "The model did not answer in time: try again.")
    if isinstance(error, openai.APIConnectionError):
        return unreachable()
    if isinstance(error, openai.APIError):
        return _failed()
    return bad_answer()


def unreachable() -> ModelFailure:
    """No connection, or one that broke before anything came."""
    return ModelFailure(
        503,
        "model_unreachable",
        "The model's endpoint cannot be reached: try again later, or check LLM_BASE_URL.",
        RETRY_AFTER_SECONDS,
    )


def bad_answer() -> ModelFailure:
    """Something answered that is no chat completions endpoint, or not as one."""
    return ModelFailure(
        502,
        "model_bad_answer",
        "The model's endpoint did not answer as a chat completions API does: check LLM_BASE_URL.",
    )


def cut_short() -> ModelFailure:
    """The stream ended in the middle of the reply."""
    return ModelFailure(502, "model_cut_short", "The model stopped in the middle of its reply: try again.")


def empty_reply() -> ModelFailure:
    """The model ended its turn without a word."""
    return ModelFailure(502, "model_empty_reply", "The model gave an empty reply: try again, or word it differently.")


def misbehaved() -> ModelFailure:
    """The model did what the agent cannot follow, such as calling a tool that is not there."""
    return ModelFailure(502, "model_misbehaved", "The model's reply could not be used: try again.")


def too_many_calls() -> ModelFailure:
    """The model called tools again and again without a reply."""
    return ModelFailure(
        502, "model_tool_loop", "The model kept calling tools without replying: try again, or word it differently."
    )


def _failed() -> ModelFailure:
    return ModelFailure(502, "model_failed", "The model's endpoint failed: try again.")


def _of_status(status: int, headers: Mapping[str, str]) -> ModelFailure:
    if status in (401, 403):
        return ModelFailure(
            502, "model_key_refused", "The model's endpoint refused the key: check LLM_API_KEY or GEMINI_API_KEY."
        )
    if status == 404:
        return ModelFailure(
            502, "model_unknown", "The model's endpoint does not know the model: check LLM_MODEL and LLM_BASE_URL."
        )
    if status in (429, 503, 529):
        return ModelFailure(
            503,
            "model_overloaded",
            "The model's endpoint is overloaded or its quota used up: try again after the time in Retry-After.",
            _retry_after(headers.get("retry-after")),
        )
    if status in (408, 504):
        return ModelFailure(504, "model_timeout", "The model did not answer in time: try again.")
    if status >= 500:
        return _failed()
    return ModelFailure(
        502,
        "model_refused_request",
        "The model's endpoint refused the request: check the key, LLM_MODEL and LLM_BASE_URL.",
    )


def _retry_after(value: str | None) -> int:
    """The endpoint's own number of seconds; a date or nonsense counts as none."""
    if value is None or not value.strip().isdecimal():
        return RETRY_AFTER_SECONDS
    return min(max(int(value), 1), MAX_RETRY_AFTER_SECONDS)
