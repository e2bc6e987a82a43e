"""The service under test, with a scripted model, a scripted memory service and no network."""

from collections.abc import AsyncIterator, Callable

import httpx
import httpx2
import hypothesis
import pytest
from fastapi import FastAPI

import callbacks
from llm import transport as model_http
from main import create_app
from settings import Settings
from tests.scripted_memory import ScriptedMemory
from tests.scripted_model import ScriptedModel
from turn import in_flight, saving

hypothesis.settings.register_profile("quick", deadline=None, max_examples=20)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=100)
hypothesis.settings.load_profile("quick")

Service = Callable[..., httpx.AsyncClient]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries do not pause."""
    for module in (callbacks, model_http, saving):
        monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0.0)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings in the developer's environment do not reach a test."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def memory() -> ScriptedMemory:
    """The memory service."""
    return ScriptedMemory()


@pytest.fixture
def model() -> ScriptedModel:
    """The model's endpoint."""
    return ScriptedModel()


@pytest.fixture
def settings() -> Settings:
    """A model's endpoint is set, and saves are given up quickly."""
    return Settings(llm_base_url="http://model.test/v1", llm_model="scripted", save_timeout_seconds=0.15)


@pytest.fixture
def app(settings: Settings, memory: ScriptedMemory, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """The service with the scripted model. On a busy machine, too, a stream begins with its first event."""
    monkeypatch.setattr(in_flight, "QUIET_SECONDS", 30.0)
    return create_app(
        settings,
        memory_transport=httpx.MockTransport(memory.handle),
        model_transport=httpx2.MockTransport(model.handle),
        callback_transport=httpx.MockTransport(lambda _: httpx.Response(204)),
    )


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://chat.test") as client:
        yield client
