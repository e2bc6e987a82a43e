"""A 422 for a body that is wrong as a whole says what to do."""

import httpx
import pytest

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("headers", "body", "advice"),
    [
        (JSON, b'{"user_id": ', "The body is not valid JSON: Expecting value, at character 12. Correct it"),
        ({}, b'{"user_id": "a", "text": "b"}', "Send it with the header Content-Type: application/json."),
        ({"content-type": "text/plain"}, b"{}", "Send it with the header Content-Type: application/json."),
        (JSON, b'["a"]', "The body is JSON, but not an object. Send a JSON object"),
        (JSON, b"", "The body is missing. Send a JSON object"),
        (JSON, b'{"user_id": "\xff"}', "it must be text, "),
        (JSON, b"[" * 100_000, "not nested too deep"),
        (JSON, b"9" * 5_000, "without numbers of too many digits. Send JSON in UTF-8."),
    ],
)
async def test_a_wrong_body_is_answered_with_advice(
    client: httpx.AsyncClient, headers: dict[str, str], body: bytes, advice: str
) -> None:
    """The list of FastAPI keeps its form, and its message says what to send instead."""
    response = await client.post("/chat/", content=body, headers=headers)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
    (item,) = response.json()["detail"]
    assert item.keys() == {"loc", "msg", "type"}
    assert advice in item["msg"]


async def test_a_wrong_field_keeps_its_message(client: httpx.AsyncClient) -> None:
    """What is wrong with a field stands in FastAPI's own message."""
    (item,) = (await client.post("/chat/", json={"user_id": "alice"})).json()["detail"]
    assert (item["loc"], item["msg"]) == (["body", "text"], "Field required")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/users/alice/facts", "GET, POST"),
        ("/users/alice/facts/f0", "DELETE, PATCH"),
        ("/sessions/s", "DELETE"),
        ("/page/app.js", "GET, HEAD"),
    ],
)
async def test_405_names_all_methods_of_its_path(client: httpx.AsyncClient, path: str, allowed: str) -> None:
    """Also those of other routes with the same path: https://www.rfc-editor.org/rfc/rfc9110#status.405."""
    response = await client.put(path)
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert response.headers["allow"] == allowed
