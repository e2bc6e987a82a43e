"""The tutorial's contract: the greeting, a turn, and the requests that are rejected."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from api.bodies import MAX_BODY_BYTES
from main import create_app
from settings import Settings
from tests.scripted_memory import ScriptedMemory
from tests.scripted_model import ScriptedModel


def say(text: str, **more: object) -> dict[str, object]:
    """A request body."""
    return {"user_id": "alice", "text": text, **more}


def in_session(session_id: str) -> dict[str, object]:
    """The part of a request body that names its session."""
    return {"metadata": {"session_id": session_id}}


async def test_root_greets(client: httpx.AsyncClient) -> None:
    """The greeting is the tutorial's."""
    response = await client.get("/")
    assert response.status_code == 200
    assert response.json() == {"message": "Welcome to the DACA Chat Service! Access /docs for the API documentation."}


async def test_turn_gets_a_reply_and_is_saved(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """A message gets the model's reply, and both are in the session's history, as one turn."""
    response = await client.post("/chat/", json=say("Hello", tags=["greeting"]))
    body = response.json()
    metadata = body["metadata"]
    assert (response.status_code, body["user_id"], body["reply"]) == (200, "alice", "Good.")
    assert set(metadata) == {"timestamp", "session_id", "history", "memory", "model", "finish", "turn_id"}
    assert (metadata["history"], metadata["memory"], metadata["model"]) == ("saved", "ok", "scripted")
    assert metadata["finish"] == "stop"
    entries = memory.sessions[metadata["session_id"]].entries
    assert [(it["role"], it["content"], it["turn_id"]) for it in entries] == [
        ("user", "Hello", metadata["turn_id"]),
        ("assistant", "Good.", metadata["turn_id"]),
    ]


async def test_history_of_a_new_session_is_not_read(client: httpx.AsyncClient, memory: ScriptedMemory) -> None:
    """A new session has no history, so it is not read."""
    await client.post("/chat/", json=say("Hello"))
    assert [kind for kind, _ in memory.requests] == ["profile", "append"]


async def test_given_session_continues(client: httpx.AsyncClient, memory: ScriptedMemory) -> None:
    """A request with a session id continues that session; the profile and history are requested by one call."""
    metadata = (await client.post("/chat/", json=say("Hello"))).json()["metadata"]
    response = await client.post("/chat/", json=say("And now?", metadata=metadata))
    assert response.json()["metadata"]["session_id"] == metadata["session_id"]
    assert len(memory.sessions[metadata["session_id"]].entries) == 4
    assert [kind for kind, _ in memory.requests][2:] == ["recall", "append"]


async def test_empty_session_id_starts_a_session(client: httpx.AsyncClient) -> None:
    """As in the tutorial, an empty session id starts a new session."""
    response = await client.post("/chat/", json=say("Hello", **in_session("")))
    assert response.json()["metadata"]["session_id"]


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
async def test_empty_text_is_refused(client: httpx.AsyncClient, memory: ScriptedMemory, text: str) -> None:
    """An empty message gets the tutorial's 400, without any call to memory."""
    response = await client.post("/chat/", json=say(text))
    assert response.status_code == 400
    assert response.json() == {"detail": "Message text cannot be empty", "code": "empty_text"}
    assert memory.requests == []


@pytest.mark.parametrize(
    "body",
    [
        {"text": "Hello"},
        {"user_id": "alice"},
        {"user_id": "alice", "text": 5},
        {"user_id": "alice", "text": "x" * 16_001},
        {"user_id": "alice", "text": "Hello", "tags": "greeting"},
        {"user_id": "alice", "text": "Hello", "metadata": {"session_id": "a/b"}},
        *(
            {"user_id": user_id, "text": "Hello"}
            for user_id in ["", ".", "..", "a b", "a|b", "a:b", "a%b", "a\ufffd", "x" * 129]
        ),
    ],
)
@pytest.mark.parametrize("path", ["/chat/", "/chat/stream"])
async def test_bad_request_gets_a_list_of_fields(client: httpx.AsyncClient, path: str, body: dict[str, object]) -> None:
    """A field that is missing, of a wrong type, too long, or a bad id gets 422 with FastAPI's list."""
    response = await client.post(path, json=body)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert {"loc", "msg", "type"} == set(response.json()["detail"][0])


@pytest.mark.parametrize("content", [b"{oops", b"", b'{"user_id": "alice", "text": "\\ud800"}', b'{"\xff": 1}'])
async def test_malformed_json_is_refused(client: httpx.AsyncClient, content: bytes) -> None:
    """A body that is not JSON, or not text, is the client's error (422)."""
    response = await client.post("/chat/", content=content, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert {"loc", "msg", "type"} == set(response.json()["detail"][0])


async def test_long_body_is_refused(client: httpx.AsyncClient) -> None:
    """A body over the limit gets 413 in the common error shape."""
    response = await client.post("/chat/", json=say("Hello", tags=["x" * MAX_BODY_BYTES]))
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


async def test_unknown_route_and_method(client: httpx.AsyncClient) -> None:
    """An unknown path or method gets the common error shape."""
    assert (await client.get("/nothing")).json()["code"] == "not_found"
    response = await client.get("/chat/")
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")


async def test_tutorial_page_may_call(client: httpx.AsyncClient) -> None:
    """A page at localhost:3000 may call the service with credentials."""
    asked = {"origin": "http://localhost:3000", "access-control-request-method": "POST"}
    response = await client.options("/chat/", headers=asked)
    assert response.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert response.headers["access-control-allow-credentials"] == "true"


def test_lifespan_starts_and_stops(settings: Settings) -> None:
    """The service starts and stops without memory service or model."""
    with TestClient(create_app(settings)) as client:
        assert client.get("/health/live").json() == {"status": "ok"}


@pytest.mark.slow
def test_bad_setting_is_reported_in_one_line(tmp_path: Path) -> None:
    """A bad setting stops the service with one clear line and no stack trace."""
    run = subprocess.run(
        [sys.executable, "-c", "import main"],
        cwd=Path(__file__).parent,
        env={"TURN_TIMEOUT_SECONDS": "soon", "LLM_API_KEY": "secret-key"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stderr.startswith("chat_service: bad setting: TURN_TIMEOUT_SECONDS")
    assert run.stderr.count("\n") == 1
    assert "secret-key" not in run.stderr
