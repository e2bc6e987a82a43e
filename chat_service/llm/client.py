"""The openai client, without its walk over the messages."""

from typing import Any

from openai import AsyncOpenAI
from openai.resources.chat import AsyncChat
from openai.resources.chat.completions import AsyncCompletions


class ModelClient(AsyncOpenAI):
    """Sends messages as they are given.

    The SDK compares each message with every kind of message that it knows, to rename fields of other APIs: with a
    window of 20 messages that takes longer than the rest of a turn. What comes as extra body is sent as it is.
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
    async def create(self, **params: Any) -> Any:  # the parameters, and the two kinds of answer, are the SDK's
        """Ask for a completion; the messages go into the body untouched."""
        body = {**(params.pop("extra_body", None) or {}), "messages": params.pop("messages")}
        return await super().create(messages=(), extra_body=body, **params)
