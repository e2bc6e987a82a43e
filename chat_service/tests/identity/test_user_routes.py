"""The routes about what is stored of a user, with identity on: everybody reaches what is their own, and no more."""

import httpx
import pytest

from tests.identity.test_requests import ADA, BOB
from tests.scripted_memory import ScriptedMemory
from turn.session_ids import derived_session_id

REQUESTS: list[tuple[str, str, dict[str, str] | None]] = [
    ("GET", "/users/{user}/sessions", None),
    ("GET", "/users/{user}/profile", None),
    ("PATCH", "/users/{user}/profile", {"goal": "learn"}),
    ("GET", "/users/{user}/facts", None),
    ("POST", "/users/{user}/facts", {"text": "Likes tea"}),
    ("PATCH", "/users/{user}/facts/f0", {"text": "Likes coffee"}),
    ("DELETE", "/users/{user}/facts/f0", None),
    ("GET", "/users/{user}/export", None),
    ("DELETE", "/users/{user}", None),
    ("GET", "/sessions/s/messages?user_id={user}", None),
    ("DELETE", "/sessions/s?user_id={user}", None),
]


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
async def test_user_is_the_tokens(
    client: httpx.AsyncClient,
    memory: ScriptedMemory,
    ada: dict[str, str],
    bob: dict[str, str],
    method: str,
    path: str,
    body: dict[str, str] | None,
) -> None:
    """Another user's token gets 403, before memory is asked. The user's own gets through, by id, subject or `me`."""
    memory.facts[ADA].append({"fact_id": "f0", "text": "Likes tea", "created_at": "then", "session_id": None})
    refused = await client.request(method, path.format(user=ADA), json=body, headers=bob)
    assert (refused.status_code, refused.json()["code"]) == (403, "user_mismatch")
    assert memory.requests == []
    for name in (ADA, "ada", "me"):
        memory.facts[ADA][:] = [{"fact_id": "f0", "text": "Likes tea", "created_at": "then", "session_id": None}]
        response = await client.request(method, path.format(user=name), json=body, headers=ada)
        assert response.is_success, response.text
        assert ADA in str(memory.requests[-1][1].url)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_reserved_session_id_is_its_users(
    client: httpx.AsyncClient,
    memory: ScriptedMemory,
    ada: dict[str, str],
    bob: dict[str, str],
    method: str,
) -> None:
    """Nobody reads or deletes the session of another's key, also before it exists: its first turn would be refused."""
    path = f"/sessions/{derived_session_id(ADA, 'k1')}" + ("/messages" if method == "GET" else "")
    refused = await client.request(method, path, headers=bob)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_owner")
    assert memory.requests == []
    assert (await client.request(method, path, headers=ada)).is_success


async def test_session_of_another_is_refused(
    client: httpx.AsyncClient,
    memory: ScriptedMemory,
    ada: dict[str, str],
    bob: dict[str, str],
) -> None:
    """The memory service is asked in the name of the token's user."""
    memory.remember("s", ADA, ("user", "secret"))
    for method, path in (("GET", "/sessions/s/messages"), ("DELETE", "/sessions/s")):
        refused = await client.request(method, path, headers=bob)
        assert (refused.status_code, refused.json()["code"]) == (403, "not_owner")
        assert "secret" not in refused.text
    assert (await client.get("/sessions/s/messages", headers=ada)).json()["total"] == 1
    assert BOB != ADA


async def test_profile_without_a_name_has_the_subject(client: httpx.AsyncClient, ada: dict[str, str]) -> None:
    """Until a profile says otherwise the user is called as in the token, not by the user id."""
    assert (await client.get("/users/me/profile", headers=ada)).json()["name"] == "ada"
