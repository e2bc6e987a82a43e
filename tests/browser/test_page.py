"""The chat page in a real browser: replies, tools, errors, stop, sessions, and what a keyboard can do."""

import re

import pytest
from playwright.async_api import expect

from harness.system import System
from tests.browser.chat_page import SLOW, ChatPage, held
from tests.browser.conftest import Watch
from tests.calls import client, entries

SESSION_MESSAGES = 5_000

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


async def test_somebody_says_who_they_are_and_gets_a_reply(chat: ChatPage) -> None:
    """A new visitor gives a name, sends a message with Enter, and gets a rendered reply."""
    await chat.enter("Ada Lovelace")
    await expect(chat.button("You are Ada-Lovelace")).to_be_visible()
    await chat.ask("Hello **there**")
    await expect(chat.reply).to_have_text("You said: Hello there")
    await expect(chat.reply.locator("strong")).to_have_text("there")
    await expect(chat.tab.get_by_role("status")).to_have_text("Reply: You said: Hello there")


async def test_a_reply_streams(chat: ChatPage) -> None:
    """The first words are there before the last ones."""
    await chat.enter("streamer")
    await chat.say(SLOW)
    await expect(chat.reply).to_contain_text("word3")
    assert "word29" not in await chat.reply.inner_text()
    await expect(chat.reply).to_contain_text("word29")


async def test_a_tool_at_work_is_shown(chat: ChatPage) -> None:
    """While the model uses a tool the page names it."""
    await chat.enter("tools")
    await chat.ask("What time is it?")
    await expect(chat.last.locator(".tool")).to_have_text("The model uses get_current_time")
    await expect(chat.reply).to_contain_text("UTC")


async def test_code_can_be_copied(chat: ChatPage) -> None:
    """A block of code has a button that copies it as it is."""
    await chat.enter("copier")
    await chat.ask("\n```js\nlet a = '<b>';\n```")
    await chat.button("Copy code").click()
    await chat.notice("Copied")
    assert await chat.tab.evaluate("navigator.clipboard.readText()") == "let a = '<b>';\n"


async def test_stop_keeps_what_was_said(chat: ChatPage) -> None:
    """Stop ends the model. What it said stays, marked, also after a reload."""
    await chat.enter("stopper")
    await chat.say(SLOW)
    await expect(chat.reply).to_contain_text("word3")
    await chat.stop.click()
    await expect(chat.last).to_contain_text("You stopped this reply.")
    await expect(chat.last.locator(".notice")).to_be_in_viewport(ratio=1)
    said = await chat.reply.inner_text()
    assert "word29" not in said
    await expect(chat.text).to_be_focused()
    await chat.tab.reload()
    await expect(chat.last).to_contain_text("You stopped this reply.")
    assert await chat.reply.inner_text() == said


async def test_a_stop_that_fails_is_said(chat: ChatPage, watch: Watch) -> None:
    """If the service cannot stop the reply now, everybody sees why, and the reply goes on."""
    watch.expected = ["503"]
    await chat.enter("unstoppable")
    await chat.tab.route("**/chat/stop", lambda it: it.fulfill(status=503, json={"detail": "Not now.", "code": "x"}))
    await chat.say(SLOW)
    await expect(chat.reply).to_contain_text("word3")
    await chat.stop.click()
    await chat.notice("Not now.")
    await expect(chat.reply).to_contain_text("word29")


async def test_escape_stops(chat: ChatPage) -> None:
    """Escape stops a reply without leaving the text field."""
    await chat.enter("escaper")
    await chat.say(SLOW)
    await expect(chat.reply).to_contain_text("word3")
    await chat.text.press("Escape")
    await expect(chat.last).to_contain_text("You stopped this reply.")
    await expect(chat.text).to_be_focused()


async def test_stop_before_the_first_word(chat: ChatPage, watch: Watch) -> None:
    """If the model had said nothing, the page says that nothing is saved and offers to ask again with the same key."""
    watch.expected = ["409"]
    await chat.enter("hasty")
    await chat.say("script:hang please")
    await chat.stop.click()
    await expect(chat.last).to_contain_text("before the model said anything, and it is not saved")
    await chat.button("Ask again").click()
    await expect(chat.stop).to_be_visible()
    await chat.stop.click()
    await expect(chat.button("Ask again")).to_be_visible()
    assert chat.keys == chat.keys[:1] * 2


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("html-once", "model"),
        ("empty-choices-once", "model"),
        ("401-once", "refused the key"),
        ("429-retry-after-once", "try again|later|Retry"),
        ("cut-stream-once", "cut|broke|again"),
    ],
)
async def test_an_error_says_what_to_do_and_offers_the_same_again(
    chat: ChatPage, watch: Watch, script: str, said: str
) -> None:
    """A failure of the model has its sentence. `Try again` sends the same message with the same key, and works."""
    watch.expected = ["502", "503", "504"]
    await chat.enter(script)
    await chat.say(f"Please, script:{script} now or later")
    notice = chat.last.locator(".notice.problem")
    await expect(notice).to_contain_text(re.compile(said))
    await chat.button("Try again").click()
    await expect(chat.reply).to_contain_text("You said: Please")
    await expect(notice).to_have_count(0)
    assert chat.keys == chat.keys[:1] * 2
    await expect(chat.messages).to_have_count(2)


async def test_a_refusal_is_a_reply(chat: ChatPage) -> None:
    """A model that declines has its sentence shown as the reply."""
    await chat.enter("refused")
    await chat.ask("script:refusal")
    await expect(chat.reply).to_have_text("I cannot help with that.")


@pytest.mark.parametrize(
    ("script", "said"), [("length", "The model reached its limit"), ("content-filter", "cut this reply off")]
)
async def test_a_reply_that_the_model_cut_says_so(chat: ChatPage, script: str, said: str) -> None:
    """Nobody takes the first part for the whole reply."""
    await chat.enter(script)
    await chat.ask(f"script:{script}")
    await expect(chat.reply).to_have_text("The first part")
    await expect(chat.last.locator(".notice")).to_contain_text(said)


async def test_back_returns_to_the_session_before(chat: ChatPage) -> None:
    """The browser's Back and Forward go through the sessions that were opened."""
    await chat.enter("wanderer")
    for text in ("First one", "Second one"):
        await chat.button("New session").click()
        await chat.ask(text)
    listed = chat.tab.locator("#session-list li span")
    for number, text in ((1, "First one"), (0, "Second one")):
        await listed.nth(number).click()
        await expect(chat.messages.first).to_contain_text(text)
    await chat.tab.go_back()
    await expect(chat.messages.first).to_contain_text("First one")
    await expect(chat.tab.locator("[aria-current=true]")).to_contain_text("First one")
    await chat.tab.go_forward()
    await expect(chat.messages.first).to_contain_text("Second one")


async def test_messages_that_come_late_stay_out_of_another_session(chat: ChatPage) -> None:
    """A session that is left while its messages are on their way shows nothing of them in the next one."""
    await chat.enter("leaver")
    await chat.ask("First one")
    await chat.button("New session").click()
    goes_on = await held(chat.tab, "**/render")
    async with chat.tab.expect_request("**/render"):
        await chat.tab.locator("#session-list li button").first.click()
    await chat.button("New session").click()
    goes_on.set()
    await chat.ask("Second one")
    await expect(chat.messages).to_have_count(2)


async def test_a_session_that_is_opened_twice_is_shown_once(chat: ChatPage) -> None:
    """One session, another and the first again, before the first read is done: each message is there once."""
    await chat.enter("hurried")
    addresses = []
    for text in ("First one", "Second one"):
        await chat.button("New session").click()
        await chat.ask(text)
        addresses.append(chat.tab.url)
    goes_on = await held(chat.tab, "**/messages?*")
    for address in (*addresses, addresses[0]):
        async with chat.tab.expect_request("**/messages?*"):
            await chat.tab.goto(address)
    goes_on.set()
    await chat.ask("Third one")
    await expect(chat.messages.first).to_contain_text("First one")
    await expect(chat.messages).to_have_count(4)


async def test_a_turn_that_is_sent_while_its_session_is_read_is_shown_once(chat: ChatPage) -> None:
    """What is read then holds the turn too."""
    await chat.enter("eager")
    await chat.ask("First one")
    goes_on = await held(chat.tab, "**/messages?*")
    await chat.tab.reload()
    await expect(chat.text).to_be_enabled()
    await chat.say("Second one")
    await expect(chat.reply).to_have_text("You said: Second one")
    await chat.until_idle()
    goes_on.set()
    await expect(chat.messages.first).to_contain_text("First one")
    await expect(chat.messages).to_have_count(4)


async def test_an_address_that_cannot_be_decoded_names_no_session(chat: ChatPage) -> None:
    """The page opens with a new session, and all messages go into it."""
    chat.url += "/#100%"
    await chat.enter("mistyped")
    for text in ("First one", "Second one"):
        await chat.ask(text)
    await expect(chat.tab.locator("#session-list li")).to_contain_text("4 messages")


async def test_sessions_are_listed_opened_and_deleted(chat: ChatPage) -> None:
    """Sessions are named by their first words, the newest first; deleting one asks first."""
    await chat.enter("lister")
    for text in ("First one", "Second one"):
        await chat.button("New session").click()
        await chat.ask(text)
    listed = chat.tab.locator("#session-list li span")
    await expect(listed).to_have_text(["Second one", "First one"])
    await listed.nth(1).click()
    await expect(chat.messages.first).to_contain_text("First one")
    await chat.button("Delete session: First one").click()
    question = chat.tab.get_by_role("dialog", name="Delete this session?")
    await expect(question).to_contain_text("“First one” with its 2 messages")
    await chat.tab.keyboard.press("Escape")
    await expect(question).to_be_hidden()
    await expect(chat.button("Delete session: First one")).to_be_focused()
    await chat.button("Delete session: First one").click()
    await chat.button("Delete").click()
    await expect(listed).to_have_text(["Second one"])
    await expect(chat.messages).to_have_count(0)
    await chat.tab.reload()
    await expect(listed).to_have_text(["Second one"])


async def test_the_session_with_the_latest_activity_is_first(chat: ChatPage) -> None:
    """A message in an older session moves it to the top of the list."""
    await chat.enter("mover")
    listed = chat.tab.locator("#session-list li span")
    for text in ("First one", "Second one"):
        await chat.button("New session").click()
        await chat.ask(text)
    await listed.nth(1).click()
    await expect(chat.messages.first).to_contain_text("First one")
    await chat.ask("Another")
    await expect(listed).to_have_text(["First one", "Second one"])


async def test_sessions_that_cannot_be_read_are_counted(chat: ChatPage) -> None:
    """The list is not silently shorter: above it stands how many sessions are missing, and what to do."""
    page = {"sessions": [], "before": "1-ab", "damaged": ["s", "t"]}
    await chat.tab.route("**/sessions?*", lambda route: route.fulfill(json=page))
    await chat.enter("unreadable")
    notice = chat.tab.locator("#session-notice")
    await expect(notice).to_have_text("Sessions that cannot be read: 2. Report it to whoever runs this service.")
    await chat.button("More sessions").click()
    await expect(notice).to_contain_text("cannot be read: 4.")


async def test_a_long_session_opens_with_its_end(chat: ChatPage, served: System) -> None:
    """Of 5,000 messages one page is read. Older ones come as one scrolls up, and nothing in view moves."""
    session = served.new_id("session")
    async with client() as http:
        history = entries(*(f"Message {number}" for number in range(SESSION_MESSAGES)))
        url = f"{served.memory}/conversations/{session}"
        assert (await http.post(url, json={"history": history}, timeout=60)).status_code == 200
    read: list[str] = []
    chat.tab.on("request", lambda request: read.append(request.url) if "/messages?" in request.url else None)
    await chat.enter("scroller")
    await chat.tab.goto(f"{chat.url}/#{session}")
    await expect(chat.messages.last).to_contain_text("Message 4999")
    await expect(chat.messages.last).to_be_in_viewport()
    assert len(read) == 1
    for count in (100, 150):
        first = chat.messages.first
        text = await first.locator(".body").inner_text()
        await first.scroll_into_view_if_needed()
        await expect(chat.messages).to_have_count(count)
        await expect(chat.messages.nth(50)).to_contain_text(text)
        await expect(chat.messages.nth(50)).to_be_in_viewport()
    assert len(read) == 3


async def test_shift_enter_begins_a_line_and_blank_text_is_not_sent(chat: ChatPage) -> None:
    """Shift+Enter begins a line; Enter sends, but not a blank message."""
    await chat.enter("typist")
    await chat.text.press("Enter")
    await chat.text.fill("   ")
    await chat.text.press("Enter")
    await expect(chat.messages).to_have_count(0)
    await chat.text.fill("one")
    await chat.text.press("Shift+Enter")
    await chat.text.press_sequentially("two")
    await chat.text.press("Enter")
    await expect(chat.messages.first.locator(".body")).to_have_text("one\ntwo")
    await chat.until_idle()


async def test_enter_of_an_input_method_is_not_a_send(chat: ChatPage) -> None:
    """Who writes Japanese ends a word with Enter: that sends nothing."""
    await chat.enter("composer")
    await chat.text.fill("nihon")
    await chat.text.dispatch_event("keydown", {"key": "Enter", "isComposing": True})
    await expect(chat.text).to_have_value("nihon")
    await expect(chat.messages).to_have_count(0)


async def test_escape_does_not_leave_a_page_without_a_user(chat: ChatPage) -> None:
    """However often one presses it, the page asks who one is."""
    await chat.tab.goto(chat.url)
    await expect(chat.tab.get_by_role("textbox", name="Name")).to_be_visible()
    for _ in range(3):
        await chat.tab.keyboard.press("Escape")
    await chat.tab.get_by_role("textbox", name="Name").fill("refuser")
    await chat.tab.keyboard.press("Enter")
    await expect(chat.text).to_be_enabled()


async def test_one_may_become_somebody_else(chat: ChatPage) -> None:
    """Another name shows that name's sessions; Escape keeps the old one."""
    await chat.enter("one")
    await chat.ask("Of one")
    await chat.button("You are one").click()
    await expect(chat.tab.get_by_role("textbox", name="Name")).to_be_visible()
    await chat.tab.keyboard.press("Escape")
    await expect(chat.tab.locator("#session-list li span")).to_have_text(["Of one"])
    await chat.become("other")
    await expect(chat.tab.locator("#session-list li")).to_have_count(0)
    await expect(chat.messages).to_have_count(0)


async def test_a_reply_that_is_rendered_late_is_not_said_to_the_next_user(chat: ChatPage) -> None:
    """A screen reader says nothing of a turn that was left."""
    await chat.enter("secretive")
    goes_on = await held(chat.tab, "**/render")
    async with chat.tab.expect_request("**/render"):
        await chat.say("My secret")
    await chat.become("curious")
    async with chat.tab.expect_response("**/render"):
        goes_on.set()
    await chat.settled()
    await expect(chat.tab.locator("#status")).to_be_empty()


async def test_a_list_that_cannot_be_read_is_not_the_former_users(chat: ChatPage, watch: Watch) -> None:
    """After a switch of users nothing of the former one's list is left, also if the new list does not come."""
    watch.expected = ["503"]
    await chat.enter("former")
    await chat.ask("Of the former")
    await expect(chat.tab.locator("#session-list li")).to_have_count(1)
    await chat.tab.route("**/sessions?*", lambda it: it.fulfill(status=503, json={"detail": "Not now.", "code": "x"}))
    await chat.become("next")
    await expect(chat.tab.locator("#session-notice")).to_have_text("Not now.")
    await expect(chat.tab.locator("#session-list li")).to_have_count(0)


async def test_a_list_that_fails_late_is_not_said_to_the_next_user(chat: ChatPage, watch: Watch) -> None:
    """The failure of the former user's list is nothing that the next one can act on."""
    watch.expected = ["503"]
    await chat.enter("failed")
    goes_on = await held(chat.tab, "**/users/failed/sessions?*", fails=True)
    async with chat.tab.expect_request("**/users/failed/sessions?*"):
        await chat.button("New session").click()
    await chat.become("lucky")
    async with chat.tab.expect_response("**/users/failed/sessions?*"):
        goes_on.set()
    await chat.settled()
    await expect(chat.tab.locator("#session-notice")).to_be_hidden()
