"""What OpenAPI says is what there is."""

import httpx


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
