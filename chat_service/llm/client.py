"""The openai client without its check of every message."""

from typing import Any

from openai import AsyncOpenAI
from openai.resources.chat import AsyncChat
from openai.resources.chat.completions import AsyncCompletions


class ModelClient(AsyncOpenAI):
    """Sends messages unchanged.

    The SDK compares each message with every message type that it knows, to rename fields of other APIs. With a window
    of 20 messages this takes longer than the rest of a turn. The SDK sends an extra body unchanged, so the messages go
    there.
    """

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
