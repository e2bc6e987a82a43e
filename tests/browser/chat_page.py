"""The chat page as a person uses it."""

import asyncio
from typing import Self

from playwright.async_api import Dialog, Locator, Page, Request, Route, expect

from harness.system import System
from tests.calls import client

SLOW = "script:slow " + " ".join(f"word{number}" for number in range(30))
"""A message whose reply takes some seconds."""


class ChatPage:
    """A tab with the chat page."""

    def __init__(self, tab: Page, url: str) -> None:
        self.tab = tab
        self.url = url
        self.keys: list[str] = []
        """The Idempotency-Key of each request that sent or resumed a turn."""
        self.dialogs: list[str] = []
        """What the page alerted. It never does."""
        tab.on("request", self._note)
        tab.on("dialog", self._dismiss)

    async def enter(self, name: str) -> Self:
        """Open the page and say who one is."""
        await self.tab.goto(self.url)
        await self.tab.get_by_role("textbox", name="Name").fill(name)
        await self.tab.keyboard.press("Enter")
        await expect(self.text).to_be_enabled()
        return self

    async def become(self, name: str) -> None:
        """Say that one is somebody else."""
        await self.tab.locator("#show-identity").click()
        await self.tab.get_by_role("textbox", name="Name").fill(name)
        await self.tab.keyboard.press("Enter")
        await expect(self.button(f"You are {name}")).to_be_visible()

    async def sign_in(self, token: str) -> None:
        """Give a token to the page that asks for one."""
        await self.tab.get_by_label("Token").fill(token)
        await self.tab.keyboard.press("Enter")

    async def say(self, text: str) -> None:
        """Send a message."""
        await self.text.fill(text)
        await self.text.press("Enter")

    async def ask(self, text: str) -> None:
        """Send a message and wait for the end of its reply."""
        await self.say(text)
        await expect(self.messages.nth(-2)).to_contain_text(text)
        await self.until_idle()

    async def until_idle(self) -> None:
        """Wait until no turn runs, and the last reply is rendered."""
        await expect(self.send).to_be_visible()
        await expect(self.tab.get_by_role("status")).not_to_have_text("Sent")

    async def settled(self) -> None:
        """Wait until the page has acted on each response that came so far."""
        await self.tab.evaluate("fetch('whoami').then((it) => it.text())")

    async def sessions(self) -> list[str]:
        """The titles of the listed sessions."""
        return await self.tab.locator("#session-list li span").all_text_contents()

    async def notice(self, text: str) -> None:
        """Wait for a line about what happened that everybody sees, and a screen reader says."""
        line = self.tab.locator(".status:not(.visually-hidden)")
        await expect(line).to_have_text(text)
        await expect(line).to_have_role("status")
        await expect(line).to_be_in_viewport(ratio=1)
        box = "const box = it.getBoundingClientRect();"
        seen = f"(it) => {{ {box} return document.elementFromPoint(box.x + 8, box.y + 8) === it }}"
        assert await line.evaluate(seen), "something covers it"

    @property
    def text(self) -> Locator:
        """Where a message is written."""
        return self.tab.get_by_label("Your message")

    @property
    def send(self) -> Locator:
        """The button that sends it."""
        return self.tab.get_by_role("button", name="Send", exact=True)

    @property
    def stop(self) -> Locator:
        """The button that stops the reply."""
        return self.tab.get_by_role("button", name="Stop", exact=True)

    @property
    def messages(self) -> Locator:
        """All messages that are shown."""
        return self.tab.locator(".message")

    @property
    def last(self) -> Locator:
        """The last message with its notices."""
        return self.messages.last

    @property
    def reply(self) -> Locator:
        """The text of the last message."""
        return self.last.locator(".body")

    def button(self, name: str) -> Locator:
        """A button by its name."""
        return self.tab.get_by_role("button", name=name, exact=True)

    def _note(self, request: Request) -> None:
        if "/chat/" in request.url and "/chat/stop" not in request.url:
            self.keys.append(request.headers["idempotency-key"])

    async def _dismiss(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        await dialog.dismiss()


async def held(tab: Page, pattern: str, fails: bool = False) -> asyncio.Event:
    """Let such requests wait until the event is set, and then perhaps fail."""
    goes_on = asyncio.Event()

    async def wait(route: Route) -> None:
        await goes_on.wait()
        if fails:
            await route.fulfill(status=503, json={"detail": "Not now.", "code": "x"})
        else:
            await route.continue_()

    await tab.route(pattern, wait)
    return goes_on


async def summarized(chat: ChatPage, served: System, text: str) -> None:
    """Store a summary of the open session's messages, as a background task does."""
    session = chat.tab.url.partition("#")[2]
    async with client() as http:
        url = f"{served.memory}/conversations/{session}"
        read = (await http.get(url, params={"last": 1})).json()
        body = {"text": text, "through": read["total"], "epoch": read["epoch"]}
        assert (await http.put(f"{url}/summary", json=body)).status_code == 200
