"""What OpenAPI says is what there is."""

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
    """ "Try it out" works at once: the message's example is a message that is answered."""
    described = await openapi(client)
    schema = described["components"]["schemas"]["Message"]
    examples = schema["examples"]
    assert isinstance(examples, list)
    assert (await client.post("/chat/", json=examples[0])).status_code == 200


async def test_statuses_are_documented(client: httpx.AsyncClient) -> None:
    """Every status that a turn can be answered with is in the description, on both routes."""
    described = await openapi(client)
    for path in ("/chat/", "/chat/stream"):
        documented = set(described["paths"][path]["post"]["responses"])
        assert documented == {"200", "400", "403", "410", "413", "422", "500", "502", "503", "504"}


async def test_callback_is_documented(client: httpx.AsyncClient) -> None:
    """The callback is there with its body."""
    described = await openapi(client)
    callbacks = described["paths"]["/chat/"]["post"]["callbacks"]
    assert "{$request.body#/callback_url}" in str(callbacks)
    assert "TurnEvent" in described["components"]["schemas"]


async def test_errors_of_the_stream_are_json(client: httpx.AsyncClient) -> None:
    """What the stream cannot be answered with is described as the JSON that it is."""
    described = await openapi(client)
    responses = described["paths"]["/chat/stream"]["post"]["responses"]
    assert list(responses["422"]["content"]) == ["application/json"]  # type: ignore[index]
    assert "text/event-stream" in str(responses["200"])


@pytest.mark.parametrize(
    ("hosts", "taken", "refused"),
    [((), None, "https://hooks.test/"), (("hooks.test",), "https://hooks.test/x", "https://hooks.test.evil/")],
)
def test_callback_urls_that_are_taken_are_described(hosts: tuple[str, ...], taken: str | None, refused: str) -> None:
    """The description names the allowed hosts, or that there are none."""
    secret = SecretStr("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    app = create_app(Settings(callback_allowed_hosts=hosts, callback_secret=secret))
    allowed = app.openapi()["components"]["schemas"]["Message"]["properties"]["callback_url"]["anyOf"]
    patterns = [option["pattern"] for option in allowed if option["type"] == "string"]
    assert [bool(re.match(pattern, url)) for pattern in patterns for url in (taken or "", refused)] == [True, False] * (
        taken is not None
    )
    assert {"type": "null"} in allowed


async def test_key_says_how_long_it_holds(client: httpx.AsyncClient) -> None:
    """The Idempotency-Key's text states the window in which the reply is found again."""
    schema = (await client.get("/openapi.json")).text
    assert "among the session's last 128 turns" in schema
