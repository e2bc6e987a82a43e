"""The openai client that the Agents SDK's model calls. It sends what it is given, and nothing of the environment."""

import json
from collections.abc import Mapping
from typing import Any

import httpx2
import openai
from openai import AsyncOpenAI, AsyncStream, Omit
from openai.resources.chat import AsyncChat
from openai.resources.chat.completions import AsyncCompletions
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from llm.json_values import UnreadableJson, read_json

CONNECT_TIMEOUT_SECONDS = 5.0
"""Time limit in seconds for a connection. A distant endpoint needs a second; TCP resends a lost packet within three.
There is no other: turns and summaries have limits as a whole."""

_EXTENSIONS = {"timeout": {"connect": CONNECT_TIMEOUT_SECONDS}}
_NOT_IN_THE_BODY = frozenset({"extra_headers", "extra_query", "extra_body", "timeout"})
"""Parameters of `create` that are no fields of the request."""
_ERRORS: dict[int, type[openai.APIStatusError]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
}
"""The openai client's errors by status."""


class ModelClient(AsyncOpenAI):
    """Hands each request to the transport at once. Raises the openai client's errors.

    The client's own way compares each message and each tool with every type that it knows, to rename fields of other
    APIs. With a window of 20 messages this takes longer than the rest of a turn (docs/benchmarks.md). It also sends
    what it finds in the environment, which was set for another program.
    """

    def __init__(self, *, base_url: str, api_key: str, transport: httpx2.AsyncBaseTransport) -> None:
        """The transport makes the connections and checks the responses."""
        http = httpx2.AsyncClient(transport=transport, trust_env=False)
        super().__init__(base_url=base_url, api_key=api_key, max_retries=0, http_client=http)
        self._transport = transport
        self._url = httpx2.URL(f"{base_url.rstrip('/')}/chat/completions")
        self._fixed_headers = {
            "authorization": f"Bearer {api_key}",
            "content-type": "application/json",
            "accept": "application/json",
            "accept-encoding": "gzip, deflate",
        }

    @property
    def chat(self) -> AsyncChat:
        """The chat resources."""
        return _Chat(self)

    async def request_completion(self, body: Mapping[str, object], headers: Mapping[str, str]) -> httpx2.Response:
        """The endpoint's successful response. Raises openai.OpenAIError."""
        content = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        sent = {**self._fixed_headers, **headers}
        request = httpx2.Request("POST", self._url, headers=sent, content=content, extensions=_EXTENSIONS)
        try:
            response = await self._transport.handle_async_request(request)
        except httpx2.TimeoutException as error:
            raise openai.APITimeoutError(request) from error
        except httpx2.HTTPError as error:
            raise openai.APIConnectionError(request=request) from error
        response.request = request
        if not response.is_success:
            raise _status_error(response)
        return response


class _Chat(AsyncChat):
    _client: ModelClient

    @property
    def completions(self) -> AsyncCompletions:
        return _Completions(self._client)


class _Completions(AsyncCompletions):
    _client: ModelClient

    async def create(self, **params: Any) -> Any:  # the SDK defines the parameters and the two return types
        """Request a completion. What the request says goes into the body unchanged."""
        given = {name: value for name, value in params.items() if not isinstance(value, Omit)}
        if given.get("extra_query"):
            raise TypeError("this client sends no extra_query")
        body = {name: value for name, value in given.items() if name not in _NOT_IN_THE_BODY}
        body |= given.get("extra_body") or {}
        response = await self._client.request_completion(body, given.get("extra_headers") or {})
        if body.get("stream"):
            return AsyncStream(cast_to=ChatCompletionChunk, response=response, client=self._client)
        return ChatCompletion.model_construct(**json.loads(response.content))


def _status_error(response: httpx2.Response) -> openai.APIStatusError:
    """The error that the endpoint's status and body stand for."""
    status = response.status_code
    kind = _ERRORS.get(status, openai.InternalServerError if status >= 500 else openai.APIStatusError)
    try:
        body = read_json(response.content)
    except UnreadableJson:
        return kind(f"status {status}", response=response, body=response.text)
    error = body.get("error", body) if isinstance(body, dict) else body
    message = error.get("message") if isinstance(error, dict) else None
    return kind(message if isinstance(message, str) else f"status {status}", response=response, body=error)
