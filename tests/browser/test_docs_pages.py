"""Swagger UI and ReDoc of both services in a real browser: they show every operation, and need no other machine."""

import httpx
import pytest
from playwright.async_api import Page, expect

from harness.openid_issuer import OpenIdIssuer
from harness.system import System
from tests.calls import client

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(params=["chat", "memory"])
def service(request: pytest.FixtureRequest, served: System) -> str:
    """The base URL of each service."""
    replicas = {"chat": served.chats, "memory": served.memories}
    return replicas[request.param][0].url


async def operations(url: str) -> list[dict[str, str]]:
    """The service's operations, as its OpenAPI describes them."""
    async with client() as http:
        described: httpx.Response = await http.get(f"{url}/openapi.json")
    return [operation for path in described.json()["paths"].values() for operation in path.values()]


async def test_swagger_ui_shows_every_operation(page: Page, service: str) -> None:
    """Each operation is listed in its group, and one can be tried from the page."""
    await page.goto(f"{service}/docs")
    listed = page.locator(".opblock")
    expected = await operations(service)
    await expect(listed).to_have_count(len(expected))
    assert len(expected) > 10
    for group in {operation["tags"][0] for operation in expected}:
        await expect(page.locator(f"[data-tag='{group}']")).to_be_visible()
    live = listed.filter(has_text="/health/live")
    await live.locator(".opblock-summary").click()
    await live.get_by_role("button", name="Try it out").click()
    await live.get_by_role("button", name="Execute").click()
    await expect(live.locator(".live-responses-table td.response-col_status").last).to_have_text("200")
    await expect(page.get_by_role("button", name="Authorize")).to_have_count(0)


async def test_redoc_shows_every_operation(page: Page, service: str) -> None:
    """Each operation has its section."""
    await page.goto(f"{service}/redoc")
    expected = await operations(service)
    await expect(page.locator("[data-section-id*='/operation/']")).to_have_count(len(expected))
    for operation in expected[:3]:
        await expect(page.get_by_role("heading", name=operation["summary"]).first).to_be_visible()


async def test_swagger_ui_asks_with_a_token(page: Page, guarded: tuple[System, OpenIdIssuer]) -> None:
    """With identity on there is the button Authorize, and a request from the page carries the token."""
    system, issuer = guarded
    await page.goto(f"{system.chats[0].url}/docs")
    await page.get_by_role("button", name="Authorize").first.click()
    await page.locator(".auth-container input").fill(issuer.headers("ada")["Authorization"].removeprefix("Bearer "))
    await page.locator(".auth-container").get_by_role("button", name="Apply credentials").click()
    await page.locator(".auth-container").get_by_role("button", name="Close").click()
    who = page.locator(".opblock").filter(has_text="/whoami")
    await who.locator(".opblock-summary-control").click()
    await who.get_by_role("button", name="Try it out").click()
    await who.get_by_role("button", name="Execute").click()
    await expect(who.locator(".live-responses-table")).to_contain_text("ada")
