"""The page with identity on: its files need no token, and everything that it asks for does."""

import httpx
import pytest

from identity.trusted_issuer import TrustedIssuer
from identity.user_ids import user_of
from page.files import FOLDER
from tests.identity.openid_issuer import URL

HTML = {"accept": "text/html"}


async def test_files_of_the_page_need_no_token(client: httpx.AsyncClient) -> None:
    """The page can be loaded by somebody who has yet to show a token."""
    for path in ("/", *(f"/page/{file.name}" for file in FOLDER.iterdir())):
        assert (await client.get(path, headers=HTML)).status_code == 200


@pytest.mark.parametrize("path", ["/page", "/page/../whoami", "/page/%2e%2e/whoami", "/whoami/page/"])
async def test_paths_beside_the_files_are_closed(client: httpx.AsyncClient, path: str) -> None:
    """A path that only looks like a file of the page gives nobody's data."""
    response = await client.get(path)
    assert response.status_code in (401, 404)


async def test_user_of_a_token(client: httpx.AsyncClient, ada: dict[str, str]) -> None:
    """The page learns whose token it has."""
    user = user_of(TrustedIssuer(URL), "ada").user_id
    assert (await client.get("/whoami", headers=ada)).json() == {"identity": "on", "user_id": user, "name": "ada"}
    assert (await client.get("/whoami")).status_code == 401


async def test_rendering_and_stopping_need_a_token(client: httpx.AsyncClient) -> None:
    """Without a token nothing is rendered and nothing is stopped."""
    assert (await client.post("/render", json={"texts": ["a"]})).status_code == 401
    assert (await client.post("/chat/stop", json={}, headers={"Idempotency-Key": "k"})).status_code == 401
