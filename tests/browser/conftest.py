"""A browser for the tests of the page. Each page checks that it asked no other machine and wrote no error."""

import shutil
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Route, async_playwright, expect

from harness.openid_issuer import OpenIdIssuer
from harness.services import add_model
from harness.system import System
from tests.browser.chat_page import ChatPage

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
"""The browser that the tests drive. In Debian it is the package chromium."""

WAIT_MS = 20_000
"""How long a test waits for the page, in milliseconds. The machine may be busy."""

TOKEN_MS = 20
"""Time that the stand-in model takes for a word, in milliseconds. A reply of some words can be seen while it grows."""

expect.set_options(timeout=WAIT_MS)

LOOPBACK = {"127.0.0.1", "localhost"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A running browser without a window."""
    if CHROMIUM is None:
        pytest.skip("the tests of the page were NOT run: there is no Chromium; run apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


class Watch:
    """What a browser did that it should not: requests to other machines, errors on the console or in scripts."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.expected: list[str] = []
        """Parts of console errors that a test causes on purpose: a browser logs each response that is an error."""

    async def route(self, route: Route) -> None:
        """Let a request to this machine pass, and stop any other."""
        if urlsplit(route.request.url).hostname in LOOPBACK:
            await route.continue_()
        else:
            self.problems.append(f"request to {route.request.url}")
            await route.abort()

    def console(self, message: ConsoleMessage) -> None:
        """Note an error or a warning."""
        if message.type in ("error", "warning") and not any(part in message.text for part in self.expected):
            self.problems.append(f"console: {message.text} {message.location}")

    def error(self, error: Exception) -> None:
        """Note an uncaught error."""
        self.problems.append(f"script: {error}")


@pytest.fixture
def watch() -> Watch:
    """What the pages of the test did that they should not."""
    return Watch()


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser, watch: Watch) -> AsyncIterator[BrowserContext]:
    """A fresh browser profile. At the end it must have asked no other machine, and written no error."""
    context = await browser.new_context(reduced_motion="reduce", color_scheme="light")
    context.set_default_timeout(WAIT_MS)
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    await context.route("**/*", watch.route)
    context.on("console", watch.console)
    context.on("weberror", lambda error: watch.error(error.error))
    yield context
    await context.close()
    assert watch.problems == []


@pytest_asyncio.fixture(loop_scope="module")
async def page(context: BrowserContext) -> Page:
    """An empty tab."""
    return await context.new_page()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A whole system with a stand-in model. No test may break it."""
    with System(tmp_path_factory.mktemp("served")) as system:
        system.add_memory()
        system.add_chat(with_model(system))
        system.start()
        yield system


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, OpenIdIssuer]]:
    """A system with identity on, and its issuer."""
    with OpenIdIssuer() as issuer, System(tmp_path_factory.mktemp("guarded")) as system:
        system.add_memory()
        system.add_chat(issuer.env)
        system.start()
        yield system, issuer


def with_model(system: System) -> dict[str, str]:
    """Add a stand-in model. Returns the settings of a chat service that asks it."""
    return {"LLM_BASE_URL": add_model(system, TOKEN_MS), "LLM_API_KEY": "none", "LLM_MODEL": "scripted"}


@pytest.fixture
def chat(page: Page, served: System) -> ChatPage:
    """A tab for the page of the system that no test breaks."""
    return ChatPage(page, served.chats[0].url)
