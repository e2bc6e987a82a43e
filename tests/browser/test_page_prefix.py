"""The page behind a proxy that serves it below a prefix, with and without uvicorn's --root-path."""

from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from harness.system import System
from tests.browser.chat_page import ChatPage
from tests.browser.conftest import with_model
from tests.browser.prefix_proxy import PREFIX, below_prefix

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module", params=[None, PREFIX], ids=["unknown", "known"])
def behind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system whose chat service does not know the prefix, or knows it."""
    known = {} if request.param is None else {"UVICORN_ROOT_PATH": request.param}
    with System(tmp_path_factory.mktemp("behind")) as system:
        system.add_memory()
        system.add_chat(with_model(system) | known)
        system.start()
        yield system


async def test_the_page_works_below_a_prefix(page: Page, behind: System) -> None:
    """Files, replies, sessions and what is remembered: every request of the page stays below the prefix."""
    async with below_prefix(behind.chats[0].url) as (url, outside):
        chat = ChatPage(page, url)
        await chat.enter("Ada")
        await chat.ask("Hello **there**")
        await expect(chat.reply.locator("strong")).to_have_text("there")
        await expect(chat.button("Delete session: Hello **there**")).to_be_visible()
        await page.reload()
        await expect(chat.messages).to_have_count(2)
        await chat.button("What is remembered").click()
        await expect(page.get_by_label("Name")).to_have_value("Ada")
        await page.keyboard.press("Escape")
        await chat.button("New session").click()
        await expect(chat.messages).to_have_count(0)
        await page.reload()
        await expect(chat.button("Delete session: Hello **there**")).to_be_visible()
        assert outside == []


@pytest.mark.parametrize("behind", [PREFIX], ids=["known"], indirect=True)
async def test_the_docs_work_below_a_known_prefix(page: Page, behind: System) -> None:
    """With --root-path Swagger UI loads its files and sends its requests below the prefix."""
    async with below_prefix(behind.chats[0].url) as (url, outside):
        await page.goto(f"{url}docs")
        live = page.locator(".opblock").filter(has_text="/health/live")
        await live.locator(".opblock-summary").click()
        await live.get_by_role("button", name="Try it out").click()
        await live.get_by_role("button", name="Execute").click()
        await expect(live.locator(".live-responses-table td.response-col_status").last).to_have_text("200")
        assert outside == []
