"""The OpenAPI description, and the pages that show it without the internet."""

import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from main import create_app
from tests.workload import SETTINGS

client = TestClient(create_app(SETTINGS))
DESCRIBED = client.get("/openapi.json").json()


def references(node: object) -> Iterator[str]:
    """Every `$ref` below a node."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield str(value)
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def is_there(reference: str) -> bool:
    """Whether a reference leads to something."""
    node = DESCRIBED
    for part in reference.removeprefix("#/").split("/"):
        if part not in node:
            return False
        node = node[part]
    return True


def test_no_reference_dangles() -> None:
    """Every `$ref` of the description leads to something."""
    found = list(references(DESCRIBED))
    assert len(found) > 50
    assert [reference for reference in found if not is_there(reference)] == []


def test_everything_has_an_example_and_a_group() -> None:
    """Each parameter, body and JSON response has an example, and each route is in a group that is described."""
    groups = {group["name"] for group in DESCRIBED["tags"]}
    lacking = []
    for path, operations in DESCRIBED["paths"].items():
        for method, operation in operations.items():
            assert operation["tags"]
            assert set(operation["tags"]) <= groups
            for parameter in operation.get("parameters", []):
                schema = parameter["schema"]
                if not (parameter.get("examples") or schema.get("examples") or "default" in schema):
                    lacking.append(f"{method} {path} {parameter['name']}")
            for content in [operation.get("requestBody", {}), *operation["responses"].values()]:
                schema = content.get("content", {}).get("application/json", {}).get("schema", {})
                for reference in references(schema):
                    if not DESCRIBED["components"]["schemas"][reference.rpartition("/")[2]].get("examples"):
                        lacking.append(f"{method} {path} {reference}")
    assert lacking == []


@pytest.mark.parametrize(("path", "script"), [("/docs", "swagger-ui-bundle.js"), ("/redoc", "redoc.standalone.js")])
def test_pages_need_no_internet(path: str, script: str) -> None:
    """Scripts, styles and the icon come from this service, and a browser may ask no other host."""
    page = client.get(path)
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert f"/docs/assets/{script}" in loaded
    assert [url for url in loaded if client.get(url).status_code != 200] == []
    assert "default-src 'none'; connect-src 'self'; img-src 'self' data:" in page.headers["content-security-policy"]
