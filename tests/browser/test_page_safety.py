"""What the page must not do: run or load what is in a text, or shut somebody out."""

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, Page, expect

from harness.openid_issuer import OpenIdIssuer
from harness.paths import ROOT
from harness.system import System
from tests.browser.chat_page import SLOW, ChatPage, summarized
from tests.browser.conftest import Watch
from tests.calls import client, entries

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

HOSTILE = [
    "<script>pwned=1</script>",
    "<img src=x onerror=pwned=1>",
    "<svg/onload=pwned=1>",
    "<iframe srcdoc='<script>parent.pwned=1</script>'></iframe>",
    "<a href='javascript:pwned=1' onclick=pwned=1>click</a>",
    "[click](javascript:pwned=1)",
    "[click](JaVaScRiPt:pwned=1)",
    "[click](java\tscript:pwned=1)",
    "[click](data:text/html;base64,PHNjcmlwdD5wd25lZD0xPC9zY3JpcHQ+)",
    "[click](vbscript:pwned=1)",
    "![x](http://192.0.2.1/steal.png)",
    "![x](x onerror=pwned=1)",
    "![x][y]\n\n[y]: http://192.0.2.1/steal.png",
    '<http://192.0.2.1/x" onmouseover=pwned=1>',
    "[a](http://192.0.2.1/ \"' onmouseover=pwned=1 '\")",
    '```"><script>pwned=1</script>\nlet a\n```',
    "```x onload=pwned=1 class=bar\n<b>\n```",
    "<style>@import 'http://192.0.2.1/x.css';*{display:none}</style>",
    "<link rel=stylesheet href=http://192.0.2.1/x.css>",
    "<meta http-equiv=refresh content='0;url=http://192.0.2.1/'>",
    "<base href=http://192.0.2.1/>",
    "<form action=http://192.0.2.1/><input name=q><button>Send</button></form>",
    "<math><mtext><table><mglyph><style><img src=x onerror=pwned=1>",
    "<noscript><p title='</noscript><img src=x onerror=pwned=1>'>",
    "<div id=text name=composer>&lt;script&gt;pwned=1&lt;/script&gt;</div>",
    "</textarea></script><script>pwned=1</script>",
    "| a |\n|---|\n| <img src=x onerror=pwned=1> |",
    "${pwned=1} {{pwned=1}} <%= pwned=1 %>",
    "\u202e<script>pwned=1</script>\u0000",
]
"""Texts that try to run a script, load something or change the page."""

ALLOWED = {
    *("a", "blockquote", "br", "button", "code", "div", "em", "hr", "li", "ol", "p", "pre", "s", "strong", "ul"),
    *("h3", "h4", "h5", "h6", "table", "tbody", "td", "th", "thead", "tr"),
}
FORBIDDEN = "img, svg, iframe, script, style, link, meta, base, form, input, math, object, embed, video, audio"


async def assert_harmless(page: Page, watch: Watch) -> None:
    """Check that nothing ran, nothing was loaded and nothing but allowed elements is among the messages."""
    assert await page.evaluate("typeof pwned") == "undefined"
    assert await page.locator("#message-list").locator(FORBIDDEN).count() == 0
    elements = await page.locator("#message-list .body *").evaluate_all(
        "(all) => all.map((it) => [it.localName, it.getAttributeNames(), it.protocol ?? ''])"
    )
    for name, attributes, protocol in elements:
        assert name in ALLOWED, name
        assert not any(attribute.startswith("on") or attribute in ("style", "id", "src") for attribute in attributes)
        assert protocol in ("", "http:", "https:", "mailto:")
    assert watch.problems == []


async def test_hostile_replies_stay_text(chat: ChatPage, served: System, watch: Watch) -> None:
    """Stored messages and replies that hold markup show it as text, for both roles."""
    session = served.new_id("session")
    async with client() as http:
        url = f"{served.memory}/conversations/{session}"
        history = entries(*(text for hostile in HOSTILE for text in (hostile, hostile)))
        assert (await http.post(url, json={"history": history})).status_code == 200
    await chat.enter("victim")
    await chat.tab.goto(f"{chat.url}/#{session}")
    await expect(chat.messages).to_have_count(50)
    await chat.messages.first.scroll_into_view_if_needed()
    await expect(chat.messages).to_have_count(2 * len(HOSTILE))
    shown = await chat.tab.locator(".message.user .body").all_text_contents()
    assert shown == HOSTILE
    for link in await chat.tab.locator("#message-list a").all():
        assert await link.get_attribute("rel") == "noopener noreferrer"
        assert await link.get_attribute("target") == "_blank"
    await assert_harmless(chat.tab, watch)
    assert chat.dialogs == []


@pytest.mark.parametrize("text", HOSTILE[:3] + HOSTILE[10:12] + HOSTILE[-3:-1])
async def test_a_hostile_reply_that_streams_stays_text(chat: ChatPage, watch: Watch, text: str) -> None:
    """While it grows and when it is rendered, a reply runs and loads nothing; nor does a session's title."""
    await chat.enter("streamed-victim")
    await chat.ask(text)
    await assert_harmless(chat.tab, watch)
    assert text.split("\n")[0].replace("\t", " ")[:20] in (await chat.sessions())[0].replace("\t", " ")


async def test_hostile_names_and_facts_stay_text(chat: ChatPage, watch: Watch) -> None:
    """A user id, a profile and a fact that hold markup are shown as text, also in questions and labels."""
    name = "<img-src=x-onerror=pwned=1>"
    await chat.enter(name)
    await expect(chat.tab.locator("#user")).to_have_text(name)
    await chat.ask("Hello")
    await chat.button("What is remembered").click()
    panel = chat.tab.get_by_role("dialog", name="What is remembered")
    await panel.get_by_label("Name").fill(HOSTILE[1])
    await panel.get_by_role("button", name="Save profile").click()
    await chat.notice("The profile is saved")
    await panel.get_by_label("New fact").fill(HOSTILE[1])
    await panel.get_by_role("button", name="Add fact").click()
    await expect(panel.locator("#facts input")).to_have_value(HOSTILE[1])
    await panel.get_by_role("button", name="Erase everything").click()
    await expect(chat.tab.locator("#question-text")).to_contain_text(f"All that is kept of {name} goes")
    assert await chat.tab.locator("img, svg").count() == 0
    await assert_harmless(chat.tab, watch)


async def assert_accessible(page: Page, what: str) -> None:
    """Check the page as it is now with all of axe-core's rules."""
    results = await Axe().run(page)
    assert results.violations_count == 0, f"{what}: {results.generate_report()}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1100, 360])
async def test_nobody_is_shut_out(chat: ChatPage, served: System, scheme: str, width: int) -> None:
    """axe-core finds nothing in any state of the page, and at 360 pixels nothing is wider than the window."""
    page = chat.tab
    await page.set_viewport_size({"width": width, "height": 640})
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await page.goto(chat.url)
    await expect(page.get_by_role("dialog", name="Who are you?")).to_be_visible()
    await assert_accessible(page, "who are you")
    await chat.enter(f"reader-{scheme}-{width}")
    await assert_accessible(page, "empty")
    await chat.ask("**Hello** `there`\n\n```\n" + "long " * 40 + "\n```\n\n# Title\n\n| a | b |\n|---|---|\n| 1 | 2 |")
    await chat.ask("What time is it?")
    await assert_accessible(page, "messages")
    await chat.button("Copy code").click()
    await chat.notice("Copied")
    await assert_accessible(page, "a notice")
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await page.evaluate(overflow) == 0
    if width == 360:
        await chat.button("Sessions").click()
        await expect(chat.button("New session")).to_be_visible()
        await assert_accessible(page, "sessions")
        await page.keyboard.press("Escape")
        await expect(chat.button("New session")).to_be_hidden()
        await expect(chat.button("Sessions")).to_be_focused()
    await summarized(chat, served, "They said hello.")
    await chat.button("What is remembered").click()
    await expect(page.get_by_role("textbox", name="Summary of this session")).to_have_value("They said hello.")
    await page.get_by_label("New fact").fill("Likes tea")
    await chat.button("Add fact").click()
    await chat.notice("The fact is added")
    await assert_accessible(page, "remembered")
    assert await page.evaluate("document.querySelector('#remembered').scrollWidth <= innerWidth")
    await chat.button("Erase everything").click()
    await assert_accessible(page, "question")


async def test_a_failure_and_a_running_reply_are_accessible(chat: ChatPage, watch: Watch) -> None:
    """axe-core finds nothing while a reply runs and after a failure."""
    watch.expected = ["502"]
    await chat.enter("failing-reader")
    await chat.say(SLOW)
    await expect(chat.reply).to_contain_text("word")
    await assert_accessible(chat.tab, "running")
    await chat.stop.click()
    await expect(chat.last).to_contain_text("You stopped this reply.")
    await chat.say("script:html")
    await expect(chat.button("Try again")).to_be_visible()
    await assert_accessible(chat.tab, "failure")


async def test_every_control_is_reached_with_tab(chat: ChatPage) -> None:
    """From the top of the page Tab goes through all controls in the order in which they are seen."""
    await chat.enter("tabber")
    await chat.ask("Hello")
    await expect(chat.button("Delete session: Hello")).to_be_visible()
    await chat.button("What is remembered").focus()
    found = []
    for _ in range(7):
        found.append(
            await chat.tab.evaluate("document.activeElement.id || document.activeElement.getAttribute('aria-label')")
        )
        await chat.tab.keyboard.press("Tab")
    expected = ["show-remembered", "show-identity", "new-session", "", "Delete session: Hello", "messages", "text"]
    assert [it or "" for it in found] == expected
    await expect(chat.send).to_be_focused()


async def test_the_page_cannot_be_framed(chat: ChatPage, watch: Watch, browser: Browser) -> None:
    """Another page that embeds the chat page shows nothing of it."""
    watch.expected = ["frame-ancestors", "refused"]
    context = await browser.new_context()
    page = await context.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    await page.goto(f"{chat.url}/health/live")
    await page.set_content(f'<iframe src="{chat.url}/"></iframe>')
    frame = page.frames[-1]
    await expect(frame.locator("#composer")).to_have_count(0)
    await context.close()
    assert any("frame-ancestors" in text for text in refused)


async def test_with_identity_on_a_token_says_who_one_is(
    page: Page, guarded: tuple[System, OpenIdIssuer], watch: Watch
) -> None:
    """The page asks for a token, says why a bad one is refused, and keeps a good one in this tab only."""
    watch.expected = ["401"]
    system, issuer = guarded
    chat = ChatPage(page, system.chats[0].url)
    await page.goto(chat.url)
    await chat.sign_in("eyJ…")  # no header can hold it: the browser says so
    await chat.sign_in("not-a-token")
    await expect(page.get_by_role("alert")).to_contain_text("token")
    await chat.sign_in(issuer.token("ada"))
    await expect(chat.button("You are ada")).to_be_visible()
    await chat.ask("Hello")
    await expect(chat.reply).to_contain_text("ada")
    await page.reload()
    await expect(chat.messages).to_have_count(2)
    assert "eyJ" not in await page.evaluate("JSON.stringify(localStorage)")
    other = await page.context.new_page()
    await other.goto(chat.url)
    await expect(other.get_by_label("Token")).to_be_visible()


async def test_a_token_is_kept_while_nobody_can_check_it(
    page: Page, guarded: tuple[System, OpenIdIssuer], watch: Watch
) -> None:
    """A failure is no refusal: the page says what happened, and goes on with the same token when it is over."""
    watch.expected = ["401", "503"]
    system, issuer = guarded
    chat = ChatPage(page, system.chats[0].url)
    await page.goto(chat.url)
    await chat.sign_in(issuer.token("ada"))
    await expect(chat.button("You are ada")).to_be_visible()
    await page.route("**/whoami", lambda it: it.fulfill(status=503, json={"detail": "Not now.", "code": "x"}))
    await page.reload()
    await expect(page.get_by_role("alert")).to_have_text("Not now.")
    await expect(page.get_by_label("Token")).to_be_hidden()
    await assert_accessible(page, "a failure")
    await page.unroute("**/whoami")
    await chat.button("Try again").click()
    await expect(chat.button("You are ada")).to_be_visible()


async def test_a_wrong_token_does_not_cost_the_right_one(
    page: Page, guarded: tuple[System, OpenIdIssuer], watch: Watch
) -> None:
    """Who gives another token that is refused may cancel, and goes on with the one before."""
    watch.expected = ["401"]
    system, issuer = guarded
    chat = ChatPage(page, system.chats[0].url)
    await page.goto(chat.url)
    await chat.sign_in(issuer.token("ada"))
    await chat.button("You are ada").click()
    await chat.sign_in("not-a-token")
    await expect(page.get_by_role("alert")).to_contain_text("token")
    await chat.button("Cancel").click()
    await chat.ask("Hello")
    await expect(chat.reply).to_contain_text("ada")
    await chat.button("You are ada").click()
    await chat.sign_in(issuer.token("bob"))
    await expect(chat.button("You are bob")).to_be_visible()


@pytest.mark.skipif("not config.getoption('--picture')", reason="writes docs/page.png; run with --picture")
async def test_picture_for_the_readme(chat: ChatPage) -> None:
    """The picture of the page in the README."""
    await chat.tab.set_viewport_size({"width": 1100, "height": 700})
    await chat.enter("Junaid")
    await chat.ask("Which numbers are even?\n\n```python\n[n for n in range(10) if n % 2 == 0]\n```")
    await chat.button("New session").click()
    await chat.ask("What time is it?")
    await chat.ask("I like **green tea**.\n\n```python\nprint('Hello, Junaid')\n```")
    assert len(await chat.tab.screenshot(path=ROOT / "docs" / "page.png")) > 10_000
