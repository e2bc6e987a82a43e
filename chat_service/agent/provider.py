"""Chooses the model: an OpenAI-compatible endpoint from the settings, or the offline model."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx2
from agents import Model

from agent.offline_model import OFFLINE, OfflineModel
from llm.chat_model import ChatModel
from llm.client import ModelClient
from llm.connections import endpoint_transport
from llm.transport import ModelTransport
from settings import GEMINI_BASE_URL, OPENAI_BASE_URL, Settings

NO_KEY = "none"
"""Sent to endpoints without a key. Without it the openai client would send the key in OPENAI_API_KEY."""


@dataclass(frozen=True)
class Provider:
    """A model, its name in replies, its location for the log, and the function that closes its connections.

    `summary_model` is the same model over connections of its own: turns never wait for one that a summary holds.
    """

    model: Model
    summary_model: Model
    name: str
    location: str
    close: Callable[[], Awaitable[None]]

    @property
    def is_offline(self) -> bool:
        """Whether the settings name no model."""
        return isinstance(self.model, OfflineModel)


def choose_provider(settings: Settings, transport: httpx2.AsyncBaseTransport | None = None) -> Provider:
    """The provider that the settings name. `transport` replaces the network."""
    endpoint = _endpoint(settings)
    if endpoint is None:
        return Provider(OfflineModel(), OfflineModel(), OFFLINE, "this process", _close_nothing)
    base_url, key = endpoint
    clients = [
        ModelClient(base_url=base_url, api_key=key, transport=ModelTransport(transport or endpoint_transport(base_url)))
        for _ in ("turns", "summaries")
    ]
    model, summary_model = (ChatModel(settings.llm_model, client) for client in clients)

    async def close() -> None:
        for client in clients:
            await client.close()

    return Provider(model, summary_model, settings.llm_model, base_url, close)


def _endpoint(settings: Settings) -> tuple[str, str] | None:
    """Base URL and key. A key is sent only to the endpoint it was set for."""
    key = settings.llm_api_key.get_secret_value() if settings.llm_api_key else None
    if settings.llm_base_url:
        return settings.llm_base_url, key or NO_KEY
    if key:
        return OPENAI_BASE_URL, key
    if settings.gemini_api_key:
        return GEMINI_BASE_URL, settings.gemini_api_key.get_secret_value()
    return None


async def _close_nothing() -> None:
    """The offline model has no connections."""
