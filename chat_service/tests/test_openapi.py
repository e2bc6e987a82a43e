"""The OpenAPI description matches the service."""

import re
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI
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


async def test_user_must_be_named_without_identity(client: httpx.AsyncClient) -> None:
    """The description says that the user of a session is required, as the route does."""
    described = (await client.get("/openapi.json")).json()
    parameters = described["paths"]["/sessions/{session_id}/messages"]["get"]["parameters"]
    (user_id,) = [parameter for parameter in parameters if parameter["name"] == "user_id"]
    assert user_id["required"] is True
    assert user_id["schema"]["type"] == "string"


async def test_no_reference_dangles(client: httpx.AsyncClient) -> None:
    """Every `$ref` of the description, the callbacks' included, leads to something."""
    described = (await client.get("/openapi.json")).json()
    references = list(_references(described))
    assert len(references) > 50
    assert [reference for reference in references if not _is_there(described, reference)] == []


async def test_everything_has_an_example_and_a_group(client: httpx.AsyncClient) -> None:
    """Each parameter, body and JSON response has an example, and each route is in a group that is described."""
    described = (await client.get("/openapi.json")).json()
    groups = {group["name"] for group in described["tags"]}
    schemas = described["components"]["schemas"]
    lacking = []
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            assert set(operation["tags"]) <= groups
            lacking += [
                f"{method} {path} {parameter['name']}"
                for parameter in operation.get("parameters", [])
                if not (
                    parameter.get("examples") or "default" in parameter["schema"] or parameter["schema"].get("examples")
                )
            ]
            contents = [operation.get("requestBody", {}), *operation["responses"].values()]
            for content in contents:
                schema = content.get("content", {}).get("application/json", {}).get("schema", {})
                if "$ref" in schema and not schemas[schema["$ref"].rpartition("/")[2]].get("examples"):
                    lacking.append(f"{method} {path} {schema['$ref']}")
    assert lacking == []


@pytest.mark.parametrize(("path", "script"), [("/docs", "swagger-ui-bundle.js"), ("/redoc", "redoc.standalone.js")])
@pytest.mark.parametrize("prefix", ["", "/prefix"])
async def test_pages_need_no_internet(app: FastAPI, path: str, script: str, prefix: str) -> None:
    """Scripts, styles and the icon come from this service, also behind a prefix; a browser may ask no other host."""
    transport = httpx.ASGITransport(app, root_path=prefix)
    async with httpx.AsyncClient(transport=transport, base_url="http://chat.test") as client:
        page = await client.get(prefix + path)
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert f"{prefix}/docs/assets/{script}" in loaded
        assert [url for url in loaded if not url.startswith(f"{prefix}/docs/assets/")] == []
        for url in loaded:
            assert (await client.get(url)).status_code == 200
        assert "default-src 'none'; connect-src 'self'; img-src 'self' data:" in page.headers["content-security-policy"]


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield str(value)
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _is_there(description: object, reference: str) -> bool:
    for part in reference.removeprefix("#/").split("/"):
        if not isinstance(description, dict) or part not in description:
            return False
        description = description[part]
    return True
