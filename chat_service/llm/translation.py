"""Translates the errors of the openai client into this service's errors."""

import re

import openai

from errors import ModelFailure
from llm.errors import (
    ModelBadResponse,
    ModelContextTooLong,
    ModelFailed,
    ModelKeyRefused,
    ModelOverloaded,
    ModelRefusedRequest,
    ModelTimeout,
    ModelUnknown,
    ModelUnreachable,
)

_OVERLOADED = frozenset({429, 503, 529})
_BY_STATUS: dict[int, type[ModelFailure]] = {
    401: ModelKeyRefused,
    403: ModelKeyRefused,
    404: ModelUnknown,
    408: ModelTimeout,
    504: ModelTimeout,
}

MAX_ERROR_CHARS = 4_000
"""Characters of an endpoint's error that are searched for its meaning."""

_MAY_BE_TOO_LONG = frozenset({400, 413, 422})
_TOO_LONG_CODES = frozenset(
    {
        "context_length_exceeded",
        "context_window_exceeded",
        "exceed_context_size_error",
        "model_context_window_exceeded",
        "request_too_large",
        "string_above_max_length",
        "tokens_limit_reached",
    }
)
"""Codes and types of OpenAI, Azure, llama.cpp, Groq, GitHub and others."""
_TOO_LONG_TEXT = re.compile(
    r"context[ _](?:length|window|size)|maximum (?:context|number of tokens|prompt|input)|too many (?:input )?tokens|"
    r"(?:prompt|input|request|messages?)(?: (?:is|are|was))? too (?:long|large)|token count .* exceeds|"
    r"reduce the length",
    re.IGNORECASE,
)
"""What the endpoints of vLLM, Gemini, Mistral, Anthropic and others say instead of a code."""


def to_model_failure(error: Exception) -> ModelFailure:
    """The failure to report for a failed call of the endpoint."""
    if isinstance(error, openai.APIError) and _is_too_long(error):
        return ModelContextTooLong()
    if isinstance(error, openai.APIStatusError):
        return _from_status(error)
    if isinstance(error, openai.APITimeoutError):
        return ModelTimeout()
    if isinstance(error, openai.APIConnectionError):
        return ModelUnreachable()
    if isinstance(error, openai.APIError):
        return ModelFailed()
    return ModelBadResponse()


def _from_status(error: openai.APIStatusError) -> ModelFailure:
    status = error.status_code
    if status in _OVERLOADED:
        return ModelOverloaded(error.response.headers.get("retry-after"))
    return _BY_STATUS.get(status, ModelFailed if status >= 500 else ModelRefusedRequest)()


def _is_too_long(error: openai.APIError) -> bool:
    """Whether the endpoint refused the request because it does not fit into the model's context."""
    if isinstance(error, openai.APIStatusError) and error.status_code not in _MAY_BE_TOO_LONG:
        return False
    if isinstance(error, openai.APIStatusError) and error.status_code == 413:
        return True
    if {str(error.code), str(error.type)} & _TOO_LONG_CODES:
        return True
    return _TOO_LONG_TEXT.search(f"{error.message} {error.body}"[:MAX_ERROR_CHARS]) is not None
