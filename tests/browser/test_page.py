"""The chat page in a real browser: a reply that streams, tools, errors, stop, and what a keyboard can do."""

from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from harness.services import add_model
from harness.system import System

TOKEN_MS = 30

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A whole system whose model needs time for each word."""
    with System(tmp_path_factory.mktemp("page")) as system:
        system.add_memory()
        system.add_chat({"LLM_BASE_URL": add_model(system, TOKEN_MS), "LLM_API_KEY": "none", "LLM_MODEL": "scripted"})
        system.start()
        yield system


async def test_somebody_says_who_they_are_and_gets_a_reply(served: System, page: Page) -> None:
    """A new visitor gives a name, sends a message with Enter, and gets a streamed reply."""
    await page.goto(served.chats[0].url)
    await page.get_by_role("textbox", name="Name").fill("Ada Lovelace")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="You are Ada-Lovelace")).to_be_visible()
    await page.get_by_label("Your message").fill("Hello **there**")
    await page.keyboard.press("Enter")
    reply = page.locator(".message.assistant .body")
    await expect(reply).to_have_text("You said: Hello there")
    await expect(reply.locator("strong")).to_have_text("there")
