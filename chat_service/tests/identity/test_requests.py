"""The service with identity on: who may send which request, and whose memory it reads and changes."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import httpx
import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from pydantic import ValidationError

from api.require_token import OPEN_PATHS
from identity.trusted_issuer import TrustedIssuer
from identity.user_ids import user_of
from main import create_app
from settings import Settings
from tests.asgi_calls import settled
from tests.identity.openid_issuer import AUDIENCE, URL, OpenIdIssuer
from tests.scripted_memory import ScriptedMemory
from tests.scripted_model import ScriptedModel, text
from tests.test_log_and_stop import Lifespan
from turn.session_ids import derived_session_id

TURNS = pytest.mark.parametrize("path", ["/chat/", "/chat/stream"])
HELLO = {"text": "Hello"}
KEY = {"Idempotency-Key": "k1"}
WAITING = 1_000
"""Requests at once."""


def user_id(subject: str) -> str:
    """The user id of a subject of the issuer."""
    return user_of(TrustedIssuer(URL), subject).user_id


ADA, BOB = user_id("ada"), user_id("bob")


def in_session(session_id: str, **more: object) -> dict[str, object]:
    """A message in a session."""
    return {**HELLO, "metadata": {"session_id": session_id}, **more}


async def test_every_other_route_needs_a_token(app: FastAPI, client: httpx.AsyncClient) -> None:
    """Only the open paths work without a token; a new route needs one until it is added to them."""
    routes = {
        (method, route.path)
        for route in iter_route_contexts(app.routes)
        for method in route.methods or ()
        if route.path
    }
    closed = {route for route in routes if route[1] not in OPEN_PATHS}
    assert ("POST", "/chat/") in closed
    for method, path in closed:
        response = await client.request(method, path)
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        assert response.json()["code"] == "token_missing"
    for path in OPEN_PATHS:
        assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/chat",
        "/%2e%2e/chat/",
        "/health/..%2fchat/",
        "/docs/",
        "/health/",
        "/health/live/",
        "/HEALTH/LIVE",
        "/openapi.json/x",
        "/x",
    ],
)
async def test_paths_beside_the_open_ones_are_closed(client: httpx.AsyncClient, path: str) -> None:
    """A path that only looks like an open one needs a token, whether or not it exists."""
    assert (await client.get(path)).status_code == 401


@TURNS
@pytest.mark.parametrize("content", [b"{oops", b"x" * 2_000_000])
async def test_body_is_not_read_without_a_token(client: httpx.AsyncClient, path: str, content: bytes) -> None:
    """Without a token nothing else is looked at: not the size of the body, not its form."""
    assert (await client.post(path, content=content)).status_code == 401


@TURNS
async def test_user_is_the_tokens(
    client: httpx.AsyncClient, memory: ScriptedMemory, ada: dict[str, str], path: str
) -> None:
    """The turn is the user's that the token names; the request need not say it."""
    response = await client.post(path, json=in_session("s1"), headers=ada)
    assert response.status_code == 200
    assert f'"user_id":"{ADA}"' in response.text
    assert memory.sessions["s1"].owner == ADA


@TURNS
@pytest.mark.parametrize(
    ("named", "status"), [(ADA, 200), ("ada", 200), ("bob", 403), (BOB, 403), ("Ada", 403), (f"{ADA}x", 403), ("", 422)]
)
async def test_named_user_must_be_the_tokens(
    client: httpx.AsyncClient, memory: ScriptedMemory, ada: dict[str, str], path: str, named: str, status: int
) -> None:
    """A request may name its user by user id or subject. Any other name is refused before memory is called."""
    response = await client.post(path, json={**HELLO, "user_id": named}, headers=ada)
    assert response.status_code == status
    assert bool(memory.requests) == (status == 200)
    if status == 403:
        assert response.json()["code"] == "user_mismatch"


async def test_two_authorization_headers(client: httpx.AsyncClient, ada: dict[str, str]) -> None:
    """Which of two headers counts would be a guess, so the request is refused, though both are valid."""
    twice = [("Authorization", ada["Authorization"])] * 2
    response = await client.post("/chat/", json=HELLO, headers=twice)
    assert (response.status_code, response.json()["code"]) == (401, "invalid_request")
    assert 'error="invalid_request"' in response.headers["www-authenticate"]


async def test_bad_token(client: httpx.AsyncClient, issuer: OpenIdIssuer) -> None:
    """A bad token gets 401 with the error word in the challenge and in the common error shape."""
    response = await client.post("/chat/", json=HELLO, headers={"Authorization": f"Bearer {issuer.token(aud='other')}"})
    assert response.status_code == 401
    assert response.json() == {
        "detail": "The token is for another audience: request one for this service.",
        "code": "invalid_token",
    }
    assert response.headers["www-authenticate"] == (
        'Bearer error="invalid_token", '
        'error_description="The token is for another audience: request one for this service."'
    )


async def test_issuer_that_is_down_at_first_use(
    client: httpx.AsyncClient, issuer: OpenIdIssuer, ada: dict[str, str]
) -> None:
    """The token may be good: 503 with Retry-After, not 401."""

    async def down(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    issuer.answer = down
    response = await client.post("/chat/", json=HELLO, headers=ada)
    assert (response.status_code, response.json()["code"]) == (503, "issuer_unavailable")
    assert response.headers["retry-after"] == "1"


async def test_unknown_key_ids_at_once_cause_one_fetch(
    client: httpx.AsyncClient, issuer: OpenIdIssuer, ada: dict[str, str]
) -> None:
    """1,000 requests with made-up key ids at once cause one fetch, and a known user is served meanwhile."""
    await client.post("/chat/", json=HELLO, headers=ada)
    issuer.fetched.clear()
    issuer.gate.clear()
    unknown = [f"Bearer {issuer.token(f'unknown-{number}', key='k1')}" for number in range(WAITING)]
    calls = [
        asyncio.create_task(client.post("/chat/", json=HELLO, headers={"Authorization": value})) for value in unknown
    ]
    await settled()
    assert (await client.post("/chat/", json=HELLO, headers=ada)).status_code == 200
    issuer.gate.set()
    responses = await asyncio.gather(*calls)
    assert {response.status_code for response in responses} == {401}
    assert issuer.fetched == {"keys": 1}


async def test_keys_rotated_while_requests_run(
    client: httpx.AsyncClient, issuer: OpenIdIssuer, model: ScriptedModel, ada: dict[str, str]
) -> None:
    """A turn that began with an old key ends well, and a token with the new key is accepted at once."""
    model.gate.clear()
    running = asyncio.create_task(client.post("/chat/", json=HELLO, headers=ada))
    await model.until_requested()
    issuer.keys.clear()
    issuer.publish("k2")
    renewed = {"Authorization": f"Bearer {issuer.token('k2', sub='ada')}"}
    other = asyncio.create_task(client.post("/chat/", json=HELLO, headers=renewed))
    await settled()
    model.gate.set()
    assert {response.status_code for response in await asyncio.gather(running, other)} == {200}


async def test_every_call_to_memory_names_the_user(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel, ada: dict[str, str]
) -> None:
    """Reads, appends and summaries all say whose session it is, so the memory service can check each.

    They also say that a session without an owner is not the user's.
    """
    memory.remember("s1", ADA, *[("user", "a"), ("assistant", "b")] * 20)
    model.respond_with(text("Good."), text("A summary."))
    await client.post("/chat/", json=in_session("s1"), headers=ada)
    await memory.until(lambda: bool(memory.calls("summary")))
    for kind, call in memory.requests:
        query, body = httpx.QueryParams(call.url.query), json.loads(call.content or b"{}")
        named = {
            "profile": httpx.URL(call.url).raw_path.decode().partition("?")[0].rpartition("/")[2].replace("%7E", "~"),
            "recall": httpx.URL(call.url).raw_path.decode().split("/")[-2].replace("%7E", "~"),
            "append": body.get("user_id"),
        }.get(kind, query.get("user_id"))
        assert named == ADA, kind
        assert kind == "profile" or query.get("owner_required") == "true" or body.get("owner_required") is True, kind
    assert {kind for kind, _ in memory.requests} == {"recall", "history", "append", "summary"}
    assert memory.sessions["s1"].summary is not None


@TURNS
async def test_session_of_another_user(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel, bob: dict[str, str], path: str
) -> None:
    """Bob neither reads nor writes Ada's session, and the model gets none of it."""
    memory.remember("s1", ADA, ("user", "a secret"), ("assistant", "kept"))
    response = await client.post(path, json=in_session("s1"), headers=bob)
    assert (response.status_code, response.json()["code"]) == (403, "not_owner")
    assert len(memory.sessions["s1"].entries) == 2
    assert "a secret" not in response.text + str(model.requests)


async def test_key_of_another_user(
    client: httpx.AsyncClient, model: ScriptedModel, ada: dict[str, str], bob: dict[str, str]
) -> None:
    """With Ada's key and text Bob gets a turn of his own, stored or still running."""
    model.respond_with(text("For Ada."), text("For Bob."))
    first = await client.post("/chat/", json=HELLO, headers=ada | KEY)
    second = await client.post("/chat/", json=HELLO, headers=bob | KEY)
    assert (first.json()["reply"], second.json()["reply"]) == ("For Ada.", "For Bob.")
    assert first.json()["metadata"]["session_id"] != second.json()["metadata"]["session_id"]
    again = await client.post("/chat/", json=HELLO, headers=ada | KEY)
    assert again.json() == first.json()


async def test_running_turn_of_another_user_is_not_joined(
    client: httpx.AsyncClient, model: ScriptedModel, ada: dict[str, str], bob: dict[str, str]
) -> None:
    """Bob sends Ada's key, text and session while her turn runs: he gets 403 and does not wait for her reply."""
    model.gate.clear()
    running = asyncio.create_task(client.post("/chat/", json=HELLO, headers=ada | KEY))
    await model.until_requested()
    response = await client.post("/chat/", json=in_session(derived_session_id(ADA, "k1")), headers=bob | KEY)
    assert response.status_code == 403
    model.gate.set()
    assert (await running).json()["metadata"]["history"] == "saved"


async def test_running_turn_in_a_guessed_session_is_not_joined(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel, ada: dict[str, str], bob: dict[str, str]
) -> None:
    """Nobody owns the session yet: Bob, with Ada's session, key and text, gets a reply of his own and keeps nothing."""
    model.respond_with(text("For Ada."), text("For Bob."))
    model.gate.clear()
    first = asyncio.create_task(client.post("/chat/", json=in_session("s1"), headers=ada | KEY))
    await model.until_requested()
    second = asyncio.create_task(client.post("/chat/", json=in_session("s1"), headers=bob | KEY))
    await model.until_requested(2)
    model.gate.set()
    replies = [(await call).json() for call in (first, second)]
    assert [reply["reply"] for reply in replies] == ["For Ada.", "For Bob."]
    assert [reply["metadata"]["history"] for reply in replies] == ["saved", "not_saved"]
    assert (replies[1]["metadata"]["code"], memory.sessions["s1"].owner) == ("not_owner", ADA)


async def test_derived_session_cannot_be_taken_first(
    client: httpx.AsyncClient, memory: ScriptedMemory, ada: dict[str, str], bob: dict[str, str]
) -> None:
    """Bob guesses the key that Ada will use and computes her session id, but cannot own the session before her."""
    guessed = derived_session_id(ADA, "k1")
    response = await client.post("/chat/", json=in_session(guessed), headers=bob)
    assert (response.status_code, response.json()["code"]) == (403, "not_owner")
    assert memory.requests == []
    first = await client.post("/chat/", json=HELLO, headers=ada | KEY)
    assert first.json()["metadata"] | {"session_id": guessed, "history": "saved"} == first.json()["metadata"]
    again = await client.post("/chat/", json=in_session(guessed), headers=ada)
    assert again.json()["metadata"]["history"] == "saved"


async def test_user_without_a_profile_is_called_by_the_subject(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel, ada: dict[str, str]
) -> None:
    """The model gets the token's subject as name, not the user id; a name in a profile has precedence."""
    await client.post("/chat/", json=HELLO, headers=ada)
    memory.profiles[ADA] = {"name": "Ada Lovelace", "preferred_style": "formal", "goal": "chat"}
    await client.post("/chat/", json=HELLO, headers=ada)
    first, second = (str(request) for request in model.requests)
    assert '"name": "ada"' in first.replace("\\", "")
    assert '"name": "Ada Lovelace"' in second.replace("\\", "")
    assert ADA not in first


async def test_nothing_of_a_token_is_logged(
    app: FastAPI, client: httpx.AsyncClient, issuer: OpenIdIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    """Requests with good and bad tokens, and a request that fails, write no part of a token."""
    tokens = [issuer.token(jti="secret-claim"), issuer.token(exp=1), issuer.token("k2", key="mallory"), "opaque-token"]
    with caplog.at_level(logging.DEBUG):
        for token in tokens:
            for path in ("/chat/", "/chat/stream", "/nothing"):
                await client.post(path, json=HELLO, headers={"Authorization": f"Bearer {token}"})
    for part in {part for token in tokens for part in token.split(".")} | {"secret-claim"}:
        assert part not in caplog.text
    assert "turn user=" in caplog.text


async def test_preflight_needs_no_token(client: httpx.AsyncClient) -> None:
    """A browser asks before it sends a token, and its page may read why a token is refused."""
    origin = {"origin": "http://localhost:3000"}
    asked = {
        **origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    preflight = await client.options("/chat/", headers=asked)
    assert preflight.status_code == 200
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    refused = await client.post("/chat/", json=HELLO, headers=origin)
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "http://localhost:3000"


async def test_request_is_refused_although_the_middleware_is_missing(
    app: FastAPI, client: httpx.AsyncClient, ada: dict[str, str]
) -> None:
    """Should a mistake leave out the check of tokens, no request falls back to a claimed user."""
    app.user_middleware = [it for it in app.user_middleware if "identity" not in it.kwargs]
    response = await client.post("/chat/", json={**HELLO, "user_id": "ada"}, headers=ada)
    assert (response.status_code, response.json()["code"]) == (401, "token_missing")


async def test_proxys_prefix_is_ignored(app: FastAPI) -> None:
    """Behind a proxy that adds a prefix the same paths are open."""
    transport = httpx.ASGITransport(app, root_path="/api")
    async with httpx.AsyncClient(transport=transport, base_url="http://chat.test") as client:
        assert (await client.get("/api/health/live")).status_code == 200
        assert (await client.post("/api/chat/", json=HELLO)).status_code == 401


async def test_example_can_be_tried(client: httpx.AsyncClient, ada: dict[str, str]) -> None:
    """Whoever has given Swagger a token can send its example: it names no other user."""
    described = (await client.get("/openapi.json")).json()
    (example,) = described["components"]["schemas"]["Message"]["examples"]
    assert (await client.post("/chat/", json=example, headers=ada)).status_code == 200


async def test_tokens_are_described(client: httpx.AsyncClient) -> None:
    """Swagger's Authorize button: the description has a bearer scheme, demanded by the closed routes only."""
    described = (await client.get("/openapi.json")).json()
    (name,) = described["components"]["securitySchemes"]
    assert described["components"]["securitySchemes"][name]["scheme"] == "bearer"
    for path, operations in described["paths"].items():
        for operation in operations.values():
            assert operation.get("security", []) == ([] if path in OPEN_PATHS else [{name: []}])
            assert ("401" in operation["responses"]) == (path not in OPEN_PATHS)
    turn = described["paths"]["/chat/"]["post"]["responses"]
    assert "user_mismatch" in turn["403"]["description"]
    assert "not_owner" in turn["403"]["description"]
    assert "issuer_unavailable" in turn["503"]["description"]
    assert "user_id" not in described["components"]["schemas"]["Message"]["required"]


async def test_start_fetches_the_keys_and_says_that_identity_is_on(
    app: FastAPI, issuer: OpenIdIssuer, memory: ScriptedMemory, caplog: pytest.LogCaptureFixture
) -> None:
    """The keys are there before the first request, and the log names issuer and audience."""
    caplog.set_level(logging.INFO)
    lifespan = Lifespan(app)
    await lifespan.begin()
    await memory.until(lambda: bool(memory.calls("live")))
    await settled()
    assert issuer.fetched["keys"] == 1
    assert f"identity is on issuer={URL} audience={AUDIENCE} claim=sub" in caplog.text
    assert "APP_API_TOKEN" not in caplog.text
    lifespan.stop()
    await lifespan.ended()


@pytest.mark.parametrize("reported", [False, None])
async def test_start_warns_of_an_open_memory_service(
    app: FastAPI, memory: ScriptedMemory, caplog: pytest.LogCaptureFixture, *, reported: bool | None
) -> None:
    """If the memory service lets anybody in, or does not say whom, the start names the setting."""
    memory.app_token_required = reported
    lifespan = Lifespan(app)
    await lifespan.begin()
    await memory.until(lambda: bool(memory.calls("live")))
    await settled()
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "APP_API_TOKEN" in warning.getMessage()
    lifespan.stop()
    await lifespan.ended()


@pytest.fixture
async def open_client(memory: ScriptedMemory, model: ScriptedModel) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service with identity off."""
    settings = Settings(llm_base_url="http://model.test/v1", llm_model="scripted", save_timeout_seconds=0.05)
    app = create_app(
        settings,
        memory_transport=httpx.MockTransport(memory.handle),
        model_transport=httpx2.MockTransport(model.handle),
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://chat.test") as client:
        yield client


@TURNS
@pytest.mark.parametrize("body", [HELLO, {**HELLO, "user_id": None}])
async def test_user_id_is_required_without_identity(
    open_client: httpx.AsyncClient, path: str, body: dict[str, object]
) -> None:
    """With identity off a message must say whose it is, as in the tutorial; a token says nothing."""
    response = await open_client.post(path, json=body, headers={"Authorization": "Bearer x"})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    assert response.json()["detail"] == [{"loc": ["body", "user_id"], "msg": "Field required", "type": "missing"}]


async def test_description_without_identity(open_client: httpx.AsyncClient) -> None:
    """With identity off the description has no tokens, and the user id is required."""
    described = (await open_client.get("/openapi.json")).json()
    assert "securitySchemes" not in described["components"]
    message = described["components"]["schemas"]["Message"]
    assert message["required"] == ["user_id", "text"]
    assert message["properties"]["user_id"]["maxLength"] == 128
    assert "401" not in described["paths"]["/chat/"]["post"]["responses"]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"oidc_issuer": URL}, "OIDC_AUDIENCE"),
        ({"oidc_audience": "chat"}, "identity would be off"),
        ({"oidc_jwks_url": f"{URL}/keys"}, "identity would be off"),
        ({"oidc_issuer": "http://issuer.test", "oidc_audience": "chat"}, "https"),
        ({"oidc_issuer": "issuer.test", "oidc_audience": "chat"}, "https"),
        ({"oidc_issuer": "https://user:pass@issuer.test", "oidc_audience": "chat"}, "https"),
        ({"oidc_issuer": "https://issuer.test:port", "oidc_audience": "chat"}, "https"),
        ({"oidc_issuer": URL, "oidc_audience": "chat", "oidc_jwks_url": "http://issuer.test/keys"}, "https"),
        ({"oidc_issuer": URL, "oidc_audience": "chat", "oidc_user_claim": 'a"b'}, "oidc_user_claim"),
        ({"cors_origins": "*"}, "origins"),
        ({"cors_origins": "https://a.test/path"}, "origins"),
        ({"cors_origins": "https://a.test,b.test"}, "origins"),
    ],
)
def test_bad_settings(values: dict[str, str], reason: str) -> None:
    """A setting that would protect less than it seems to is refused at start."""
    with pytest.raises(ValidationError, match=reason):
        Settings.model_validate(values)


def test_good_settings() -> None:
    """Issuers on this machine need no TLS; lists are separated by commas."""
    settings = Settings.model_validate(
        {
            "oidc_issuer": "http://127.0.0.1:9000",
            "oidc_audience": "a, b",
            "cors_origins": "https://a.test,http://[::1]:3000",
        }
    )
    assert settings.oidc_audience == ("a", "b")
    assert settings.cors_origins == ("https://a.test", "http://[::1]:3000")
    assert Settings.model_validate({"cors_origins": "none"}).cors_origins == ()


async def test_origins_are_a_setting(memory: ScriptedMemory) -> None:
    """The pages of the configured origins may call the service, and those of the default one no more."""
    app = create_app(Settings(cors_origins=("https://chat.example.com",)))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://chat.test") as client:
        for origin, allowed in [("https://chat.example.com", True), ("http://localhost:3000", False)]:
            response = await client.get("/", headers={"origin": origin})
            assert response.headers.get("access-control-allow-origin") == (origin if allowed else None)
