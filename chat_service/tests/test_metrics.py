"""The service's numbers, as Prometheus reads them."""

import asyncio

import httpx
import httpx2
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

import metrics
from api import bodies
from errors import MemoryNotReady
from llm.errors import ModelTimeout
from main import create_app
from metrics import Metrics
from settings import Settings
from tests.asgi_calls import background_ended
from tests.scripted_memory import ScriptedMemory, refusal, sidecar_failure
from tests.scripted_model import ScriptedModel, streamed

HELLO = {"user_id": "alice-of-paris", "text": "my secret plan", "metadata": {"session_id": "s-unseen"}}
CALLED_BACK = {**HELLO, "callback_url": "https://receiver.test/saved"}


@pytest.fixture
def settings() -> Settings:
    """Callbacks are allowed, and tried twice; saves are given up quickly."""
    return Settings(
        llm_base_url="http://model.test/v1",
        llm_model="scripted",
        save_timeout_seconds=0.05,
        callback_save_timeout_seconds=0.05,
        callback_allowed_hosts=("receiver.test",),
        callback_secret=SecretStr("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        callback_attempts=2,
    )


async def numbers(client: httpx.AsyncClient) -> dict[str, float]:
    """Every number by its name and labels, as `name{label="value"}`."""
    response = await client.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        sample.name + ("{" + ",".join(f'{k}="{v}"' for k, v in sample.labels.items()) + "}" if sample.labels else ""): (
            sample.value
        )
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


async def test_a_saved_turn_is_counted_and_measured(client: httpx.AsyncClient) -> None:
    """One turn: its outcome, its duration, and the duration of each part."""
    assert (await client.post("/chat/", json=HELLO)).status_code == 200
    found = await numbers(client)
    assert found['chat_turns_total{outcome="saved"}'] == 1
    for name in ("turn", "read", "model", "save"):
        assert found[f"chat_{name}_seconds_count"] == 1
        assert found[f"chat_{name}_seconds_sum"] > 0
    assert found["chat_turn_seconds_sum"] >= found["chat_model_seconds_sum"]
    assert found['chat_summary_lag_messages_bucket{le="0.0"}'] == 1
    assert found["chat_first_token_seconds_count"] == 0
    assert found["process_resident_memory_bytes"] > 0


async def test_first_token_of_a_stream_is_measured_once(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """However many pieces a stream has."""
    model.respond_with(streamed("a ", "long ", "reply"))
    await client.post("/chat/stream", json=HELLO)
    found = await numbers(client)
    assert found["chat_first_token_seconds_count"] == 1
    assert 0 < found["chat_first_token_seconds_sum"] <= found["chat_turn_seconds_sum"]


async def test_repeated_turn_is_replayed(client: httpx.AsyncClient) -> None:
    """A reply from the history is no saved turn, and its model did not run."""
    for _ in range(2):
        await client.post("/chat/", json=HELLO, headers={"Idempotency-Key": "k"})
    found = await numbers(client)
    assert found['chat_turns_total{outcome="saved"}'] == 1
    assert found['chat_turns_total{outcome="replayed"}'] == 1
    assert found["chat_model_seconds_count"] == 1


async def test_unsaved_turns_have_their_code(client: httpx.AsyncClient, memory: ScriptedMemory) -> None:
    """A turn that was not saved, and one that may have been, by what memory said."""
    memory.respond_next("append", refusal(410, "session_deleted"))
    await client.post("/chat/", json=HELLO)
    memory.respond_always(sidecar_failure(), "append")
    await client.post("/chat/", json=HELLO)
    found = await numbers(client)
    assert found['chat_turns_total{outcome="not_saved"}'] == found['chat_turns_total{outcome="unknown"}'] == 1
    assert found['chat_unsaved_turns_total{code="session_deleted"}'] == 1
    assert found['chat_unsaved_turns_total{code="memory_unavailable"}'] == 1


async def test_failed_turns_have_their_status_and_code(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """So that an operator's failures can be told from a client's."""
    model.respond_with(httpx2.ReadTimeout("slow"))
    await client.post("/chat/", json=HELLO)
    found = await numbers(client)
    assert found['chat_turns_total{outcome="failed"}'] == 1
    assert found[f'chat_failed_turns_total{{code="{ModelTimeout.code}",status="504"}}'] == 1
    assert found[f'chat_error_responses_total{{code="{ModelTimeout.code}",status="504"}}'] == 1


async def test_refused_request_is_counted_though_no_turn_ran(client: httpx.AsyncClient) -> None:
    """An error before the turn begins is an error response only."""
    await client.post("/chat/", json={**HELLO, "text": " "})
    found = await numbers(client)
    assert found['chat_error_responses_total{code="empty_text",status="400"}'] == 1
    assert found["chat_turn_seconds_count"] == 0


async def test_refused_body_is_counted(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that the service does not take is an error response too."""
    monkeypatch.setattr(bodies, "MAX_HELD_BYTES", 0)
    await client.post("/chat/", json={**HELLO, "text": "x" * 200_000})
    assert (await numbers(client))['chat_error_responses_total{code="overloaded",status="503"}'] == 1


async def test_error_event_of_a_stream_is_counted(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """A stream that ends with an error counts as an error response with the error's status."""
    model.respond_with(streamed("The answer", finish_reason=None, done=False))
    assert "event: error" in (await client.post("/chat/stream", json=HELLO)).text
    found = await numbers(client)
    assert sum(count for name, count in found.items() if name.startswith("chat_error_responses_total")) == 1


async def test_bug_is_counted(client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error is a 500."""
    monkeypatch.setattr(app.state.services.user_data, "facts", None)
    await client.get("/users/alice/facts")
    assert (await numbers(client))['chat_error_responses_total{code="internal_error",status="500"}'] == 1


@pytest.mark.parametrize(("token", "counted"), [("eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.e30.AAAA", 1), ("x", 0)])
async def test_issuer_that_is_down_is_counted(settings: Settings, token: str, counted: int) -> None:
    """An issuer that is down fails clients. A refused token is a client's own mistake."""
    settings.oidc_issuer, settings.oidc_audience = "https://issuer.test", ("chat",)
    app = create_app(settings, issuer_transport=httpx.MockTransport(lambda _: httpx.Response(500)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://chat.test") as client:
        await client.post("/chat/", json=HELLO, headers={"authorization": f"Bearer {token}"})
        found = await numbers(client)
    assert sum(count for name, count in found.items() if name.startswith("chat_error_responses_total")) == counted


@pytest.mark.parametrize(("is_saved", "history"), [(True, "saved"), (False, "unknown")])
async def test_late_save_and_its_callback(
    client: httpx.AsyncClient, memory: ScriptedMemory, *, is_saved: bool, history: str
) -> None:
    """A turn with a callback is pending first; its save and its callback are counted when they end."""
    if not is_saved:
        memory.respond_always(sidecar_failure(), "append")
    await client.post("/chat/", json=CALLED_BACK)
    await background_ended()
    found = await numbers(client)
    assert found['chat_turns_total{outcome="pending"}'] == 1
    assert found[f'chat_late_saves_total{{outcome="{history}"}}'] == 1
    assert found["chat_save_seconds_count"] == 1
    assert found.get('chat_unsaved_turns_total{code="memory_unavailable"}', 0) == (0 if is_saved else 1)
    assert found['chat_callbacks_total{outcome="delivered"}'] == 1


@pytest.mark.parametrize(("model_status", "outcome"), [(200, "not_delivered"), (401, "dropped")])
async def test_callback_that_nobody_gets(
    settings: Settings, memory: ScriptedMemory, model: ScriptedModel, model_status: int, outcome: str
) -> None:
    """Not delivered if the receiver takes none of its attempts, dropped if the turn has no reply."""
    if model_status != 200:
        model.respond_with(httpx2.Response(model_status))
    app = create_app(
        settings,
        memory_transport=httpx.MockTransport(memory.handle),
        model_transport=httpx2.MockTransport(model.handle),
        callback_transport=httpx.MockTransport(lambda _: httpx.Response(500)),
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://chat.test") as client:
        await client.post("/chat/", json=CALLED_BACK)
        await background_ended()
        found = await numbers(client)
    assert {name: found[name] for name in found if name.startswith("chat_callbacks_total")} == {
        f'chat_callbacks_total{{outcome="{outcome}"}}': 1
    }


async def test_summaries_are_counted(client: httpx.AsyncClient, memory: ScriptedMemory) -> None:
    """One that was stored, and one whose session was replaced meanwhile."""
    said = [("user", "word " * 600), ("assistant", "word " * 600)] * 9
    for session_id in ("s1", "s2"):
        memory.remember(session_id, "alice", *said)
    memory.respond_next("summary", refusal(409, "history_replaced"))
    for session_id in ("s1", "s2"):
        await client.post("/chat/", json={"user_id": "alice", "text": "Hi", "metadata": {"session_id": session_id}})
        await background_ended()
    found = await numbers(client)
    assert found['chat_summaries_total{outcome="overtaken"}'] == 1
    assert found['chat_summaries_total{outcome="stored"}'] >= 1


async def test_running_turns_are_those_of_now(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """A turn counts as running until it has ended."""
    model.gate.clear()
    turn = asyncio.create_task(client.post("/chat/", json=HELLO))
    await model.until_requested()
    assert (await numbers(client))["chat_running_turns"] == 1
    model.gate.set()
    await turn
    assert (await numbers(client))["chat_running_turns"] == 0


async def test_no_label_has_an_id_or_a_text(client: httpx.AsyncClient, memory: ScriptedMemory) -> None:
    """Nothing that a person sent, and no id, is in the metrics."""
    memory.profiles["alice-of-paris"] = {"name": "Alice", "preferred_style": "terse", "goal": "rule"}
    reply = (await client.post("/chat/", json=HELLO, headers={"Idempotency-Key": "k"})).json()
    await client.post("/chat/stream", json={**HELLO, "user_id": "mallory"})
    shown = (await client.get("/metrics")).text
    assert "chat_turns_total" in shown
    for secret in ("alice", "Alice", "mallory", "s-unseen", "secret", "Good", reply["metadata"]["turn_id"]):
        assert secret not in shown


async def test_each_app_has_its_own_numbers(client: httpx.AsyncClient, settings: Settings) -> None:
    """A second app in one process begins at zero."""
    await client.post("/chat/", json=HELLO)
    other = create_app(settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(other), base_url="http://chat.test") as second:
        assert (await numbers(second))["chat_turn_seconds_count"] == 0


def test_number_of_codes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A memory service that invents codes adds no series without end."""
    monkeypatch.setattr(metrics, "MAX_CODES", 2)
    counted = Metrics()
    for code in ("first", "second", "third", "first", "fourth"):
        counted.error_response(MemoryNotReady(code))
    assert counted.text().count(b"chat_error_responses_total{") == 3  # first, second, other
