"""Translates the errors of the openai client into this service's errors."""

import openai

from errors import ModelFailure
from llm.errors import (
    ModelBadResponse,
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


def to_model_failure(error: Exception) -> ModelFailure:
    """The failure to report for a failed call of the endpoint."""
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
