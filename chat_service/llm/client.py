"""The openai client without its check of every message, and without what it takes from the environment."""

from typing import Any

import httpx2
from openai import AsyncOpenAI
from openai.resources.chat import AsyncChat
from openai.resources.chat.completions import AsyncCompletions


class ModelClient(AsyncOpenAI):
    """Sends messages unchanged.

    The SDK compares each message with every message type that it knows, to rename fields of other APIs. With a window
    of 20 messages this takes longer than the rest of a turn. The SDK sends an extra body unchanged, so the messages go
    there.

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
        """Request a completion; the messages go into the body unchanged."""
        body = {**(params.pop("extra_body", None) or {}), "messages": params.pop("messages")}
        return await super().create(messages=(), extra_body=body, **params)
