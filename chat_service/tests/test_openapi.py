"""The OpenAPI description matches the service."""

import re

import httpx
import pytest
from pydantic import SecretStr

from main import create_app
from settings import Settings


async def openapi(client: httpx.AsyncClient) -> dict[str, dict[str, dict[str, dict[str, dict[str, object]]]]]:
    """The service's description of itself."""
    found: dict[str, dict[str, dict[str, dict[str, dict[str, object]]]]] = (await client.get("/openapi.json")).json()
    return found


async def test_every_request_has_an_example(client: httpx.AsyncClient) -> None:
    """The example of a message is a message that gets a reply."""
    described = await openapi(client)
    schema = described["components"]["schemas"]["Message"]
    examples = schema["examples"]
    assert isinstance(examples, list)
    assert (await client.post("/chat/", json=examples[0])).status_code == 200


async def test_statuses_are_documented(client: httpx.AsyncClient) -> None:
    """The description of both routes has every status that a turn can end with."""
    described = await openapi(client)
    for path in ("/chat/", "/chat/stream"):
        documented = set(described["paths"][path]["post"]["responses"])
        assert documented == {"200", "400", "403", "404", "408", "409", "410", "413", "422", "500", "502", "503", "504"}


async def test_callback_is_documented(client: httpx.AsyncClient) -> None:
    """The description has the callback and its body."""
    described = await openapi(client)
    callbacks = described["paths"]["/chat/"]["post"]["callbacks"]
    assert "{$request.body#/callback_url}" in str(callbacks)
    assert "TurnEvent" in described["components"]["schemas"]


async def test_errors_of_the_stream_are_json(client: httpx.AsyncClient) -> None:
    """The errors of the stream are described as JSON."""
    described = await openapi(client)
    responses = described["paths"]["/chat/stream"]["post"]["responses"]
    assert list(responses["422"]["content"]) == ["application/json"]  # type: ignore[index]
    assert "text/event-stream" in str(responses["200"])


@pytest.mark.parametrize(
    ("hosts", "allowed_url", "rejected_url"),
    [((), None, "https://hooks.test/"), (("hooks.test",), "https://hooks.test/x", "https://hooks.test.evil/")],
)
def test_allowed_callback_urls_are_described(
    hosts: tuple[str, ...], allowed_url: str | None, rejected_url: str
) -> None:
    """The description allows callback URLs of the allowed hosts only."""
    secret = SecretStr("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    app = create_app(Settings(callback_allowed_hosts=hosts, callback_secret=secret))
    allowed = app.openapi()["components"]["schemas"]["Message"]["properties"]["callback_url"]["anyOf"]
    patterns = [option["pattern"] for option in allowed if option["type"] == "string"]
    assert [bool(re.match(pattern, url)) for pattern in patterns for url in (allowed_url or "", rejected_url)] == [
        True,
        False,
    ] * (allowed_url is not None)
    assert {"type": "null"} in allowed


async def test_key_says_how_long_it_holds(client: httpx.AsyncClient) -> None:
    """The description of Idempotency-Key states for how many turns it holds."""
    schema = (await client.get("/openapi.json")).text
    assert "among the session's last 128 turns" in schema
