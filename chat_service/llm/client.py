"""The openai client without its check of every message and tool, and without what it takes from the environment."""

from typing import Any

import httpx2
from openai import AsyncOpenAI, Omit
from openai.resources.chat import AsyncChat
from openai.resources.chat.completions import AsyncCompletions


class ModelClient(AsyncOpenAI):
    """Sends messages and tools unchanged.

    The SDK compares each message and each tool with every type that it knows, to rename fields of other APIs. With a
    window of 20 messages this takes longer than the rest of a turn. The SDK sends an extra body unchanged, so they go
    there, with all other parameters of the model.

    The SDK also takes an organization, a project and headers from OPENAI_ORG_ID, OPENAI_PROJECT_ID and
    OPENAI_CUSTOM_HEADERS. They were set for another program and endpoint, so they are dropped.
    """

    def __init__(self, *, base_url: str, api_key: str, http_client: httpx2.AsyncClient) -> None:
        super().__init__(base_url=base_url, api_key=api_key, max_retries=0, http_client=http_client)
        self.organization = None
        self.project = None
        self.admin_api_key = None
        self.webhook_secret = None
        self._custom_headers = {}

    @property
    def chat(self) -> AsyncChat:
        """The chat resources."""
        return _Chat(self)


class _Chat(AsyncChat):
    @property
    def completions(self) -> AsyncCompletions:
        return _Completions(self._client)


class _Completions(AsyncCompletions):
    async def create(self, **params: Any) -> Any:  # the SDK defines the parameters and the two return types
        """Request a completion; what the request says goes into the body unchanged."""
        given = {name: value for name, value in params.items() if not isinstance(value, Omit)}
        seen = {name: given.pop(name) for name in _READ_BY_THE_SDK & given.keys()}
        body = {**given, **(seen.pop("extra_body", None) or {})}
        return await super().create(messages=(), extra_body=body, **seen)


_READ_BY_THE_SDK = {"model", "stream", "extra_body", "extra_headers", "extra_query", "timeout"}
"""Parameters that the SDK itself needs. All others are the endpoint's."""
