"""The memory service's HTTP API: the tutorial's routes, ids, bodies and errors."""

from collections.abc import Iterator
from unittest.mock import AsyncMock, patch

import pytest
from fastapi.testclient import TestClient

import errors
from main import app

client = TestClient(app, raise_server_exceptions=False)
ENTRY = {"role": "user", "content": "Hi", "timestamp": "2026-01-01T12:00:00+00:00"}


@pytest.fixture
def profile() -> Iterator[AsyncMock]:
    """A patch of the function that reads a user's profile."""
    with patch("main.get_user_metadata", new_callable=AsyncMock) as read:
        yield read


@pytest.fixture
def history() -> Iterator[AsyncMock]:
    """A patch of the function that reads a session's history."""
    with patch("main.get_conversation_history", new_callable=AsyncMock) as read:
        yield read


def test_root_points_to_the_documentation() -> None:
    """The root responds as in the tutorial."""
    message = "Welcome to the DACA Agent Memory Service! Access /docs for the API documentation."
    assert client.get("/").json() == {"message": message}


def test_profile_is_returned_as_stored(profile: AsyncMock) -> None:
    """A stored profile is returned without the other fields of its document."""
    profile.return_value = {"name": "Ann", "preferred_style": "formal", "goal": "plan", "more": 1}
    assert client.get("/memories/ann").json() == {"name": "Ann", "preferred_style": "formal", "goal": "plan"}


def test_unknown_user_has_the_default_profile(profile: AsyncMock) -> None:
    """A user without a profile has the id as name, and the tutorial's defaults."""
    profile.return_value = {}
    assert client.get("/memories/ann").json() == {"name": "ann", "preferred_style": "casual", "goal": "chat"}


def test_initialize_stores_and_returns_a_profile() -> None:
    """Initialize stores the profile and returns it."""
    metadata = {"name": "Bob", "preferred_style": "casual", "goal": "learn"}
    with patch("main.set_user_metadata", new_callable=AsyncMock) as write:
        response = client.post("/memories/bob/initialize", json=metadata)
    assert response.json() == {"status": "success", "user_id": "bob", "metadata": metadata}
    write.assert_awaited_once_with("bob", metadata)


def test_whole_history_has_the_tutorials_shape(history: AsyncMock) -> None:
    """Each message of a whole history has role, content and timestamp, and nothing else."""
    history.return_value = [ENTRY | {"turn_id": "t"}]
    assert client.get("/conversations/s").json() == {"history": [ENTRY]}


def test_replace_hands_on_the_whole_history() -> None:
    """The tutorial's POST replaces the history."""
    with patch("main.set_conversation_history", new_callable=AsyncMock) as write:
        response = client.post("/conversations/s", json={"history": [ENTRY]})
    assert response.json() == {"status": "success", "session_id": "s"}
    write.assert_awaited_once_with("s", [ENTRY])


@pytest.mark.parametrize(
    "bad", ["a:b", "a|b", "a b", "a%3Fb", "a%23b", "a%25b", "a%5Cb", "a%00b", "%ff", "a%EF%BF%BD", "a" * 129]
)
def test_id_that_dapr_cannot_carry_is_refused(bad: str) -> None:
    """An id with a character that keys or paths cannot have is 422, with FastAPI's list and a code."""
    response = client.get(f"/memories/{bad}/export")
    assert response.status_code == 422
    assert response.json()["code"] == "invalid_request"
    assert response.json()["detail"][0]["loc"] == ["path", "user_id"]


@pytest.mark.parametrize("bad", ["", ".", "..", "a\n", "\u2028", "\x7f"])
def test_id_in_a_body_is_held_to_the_same(bad: str) -> None:
    """An id in a body is checked like one in a path."""
    response = client.post("/conversations/s/turns", json={"turn_id": bad, "user_id": "u", "entries": [ENTRY]})
    assert (response.status_code, response.json()["detail"][0]["loc"]) == (422, ["body", "turn_id"])


@pytest.mark.parametrize("good", ["a+b", "ünï", "..a", "a.b", "~", "a" * 128])
def test_other_ids_are_accepted(good: str, profile: AsyncMock) -> None:
    """Any other id is accepted."""
    profile.return_value = {}
    assert client.get(f"/memories/{good}").json()["name"] == good


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ('{"history": ', 422, "invalid_request"),
        ('{"history": [{"role": "user"}]}', 422, "invalid_request"),
        ('{"history": "no"}', 422, "invalid_request"),
        ('{"history": [{"role": "user", "content": "\\ud800"}]}', 422, "invalid_request"),
        ('{"history": [{"role": "user", "content": "%s"}]}' % ("x" * 120_000), 422, "invalid_request"),
        ('{"history": [%s]}' % ("x" * 4 * 1024 * 1024), 413, "body_too_large"),
    ],
)
def test_bad_body_is_reported_in_the_one_shape(body: str, status: int, code: str) -> None:
    """An invalid or too long body is an error of the client, with `detail` and `code`."""
    response = client.post("/conversations/s", content=body, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.json()["detail"]


def test_body_of_unstated_length_is_limited_too() -> None:
    """A body sent in chunks is refused when it grows past the limit."""
    response = client.post("/conversations/s", content=(b"x" * 1024 * 1024 for _ in range(5)))
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


def test_unknown_route_is_reported_in_the_one_shape() -> None:
    """An unknown path is 404 with a code."""
    response = client.get("/nothing")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert "/docs" in response.json()["detail"]


def test_body_that_is_not_text_is_the_clients_error() -> None:
    """Bytes that are not UTF-8 are reported like malformed JSON."""
    response = client.post("/conversations/s", content=b'{"\xff": 1}', headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["detail"][0]["loc"]) == (422, ["body"])


def test_failing_store_is_never_an_empty_history(history: AsyncMock) -> None:
    """A failed store is 503 with Retry-After, unlike a session that does not exist."""
    history.side_effect = errors.StoreUnavailable()
    response = client.get("/conversations/s")
    assert (response.status_code, response.json()["code"]) == (503, "store_unavailable")
    assert int(response.headers["retry-after"]) > 0


def test_internal_error_is_reported_without_its_cause(history: AsyncMock) -> None:
    """An internal error is 500 in the one shape; the cause is only in the log."""
    history.side_effect = ZeroDivisionError("secret")
    response = client.get("/conversations/s")
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert "secret" not in response.text


def test_every_request_has_an_example() -> None:
    """Every request body has an example, so that "Try it out" in Swagger UI works at once."""
    schemas = app.openapi()["components"]["schemas"]
    bodies = [
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for path in app.openapi()["paths"].values()
        for operation in path.values()
        if "requestBody" in operation
    ]
    assert bodies
    assert all(schemas[body]["examples"] for body in bodies)
