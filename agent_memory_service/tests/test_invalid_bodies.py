"""A 422 for a body that is wrong as a whole says what to do. Both services say it in the same words."""

import pytest

from tests.fake_time import run
from tests.service_under_test import Service

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("headers", "body", "advice"),
    [
        (JSON, b'{"name": ', "The body is not valid JSON: Expecting value, at character 9. Correct it"),
        ({}, b'{"name": "a"}', "Send it with the header Content-Type: application/json."),
        ({"content-type": "text/plain"}, b"{}", "Send it with the header Content-Type: application/json."),
        (JSON, b'["a"]', "The body is JSON, but not an object. Send a JSON object"),
        (JSON, b"", "The body is missing. Send a JSON object"),
        (JSON, b'{"name": "\xff"}', "Send JSON in UTF-8."),
        (JSON, b"[" * 100_000, "not nested too deep"),
    ],
)
def test_a_wrong_body_is_answered_with_advice(
    service: Service, headers: dict[str, str], body: bytes, advice: str
) -> None:
    """The list of FastAPI keeps its form, and its message says what to send instead."""

    async def scenario() -> None:
        response = await service.http.post("/memories/u/initialize", content=body, headers=headers)
        assert (response.status_code, response.json()["code"]) == (422, "invalid_request")
        (item,) = response.json()["detail"]
        assert item.keys() == {"loc", "msg", "type"}
        assert advice in item["msg"]

    run(scenario())


def test_a_wrong_field_keeps_its_message(service: Service) -> None:
    """What is wrong with a field stands in FastAPI's own message."""

    async def scenario() -> None:
        profile = {"name": "n", "preferred_style": "p"}
        (item,) = (await service.http.post("/memories/u/initialize", json=profile)).json()["detail"]
        assert (item["loc"], item["msg"]) == (["body", "goal"], "Field required")

    run(scenario())


@pytest.mark.parametrize(
    ("path", "allowed"), [("/memories/u/facts", "GET, POST"), ("/memories/u", "DELETE, GET, PATCH")]
)
def test_a_405_names_all_methods_of_its_path(service: Service, path: str, allowed: str) -> None:
    """Also those of other routes with the same path: https://www.rfc-editor.org/rfc/rfc9110#status.405."""

    async def scenario() -> None:
        response = await service.http.put(path)
        assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
        assert response.headers["allow"] == allowed

    run(scenario())


def test_a_number_and_a_flag_are_not_guessed(service: Service) -> None:
    """A flag in place of a number, and a number in place of a flag, are 422 as the schema says."""

    async def scenario() -> None:
        summary = {"text": "x", "through": False, "epoch": "0"}
        turn = {"turn_id": "t", "user_id": "u", "entries": [{"role": "user", "content": "x"}], "owner_required": 0}
        assert (await service.http.put("/conversations/s/summary", json=summary)).status_code == 422
        assert (await service.http.post("/conversations/s/turns", json=turn)).status_code == 422

    run(scenario())
