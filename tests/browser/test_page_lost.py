"""A reload, a second tab, a lost connection, a kill and a store that is away: the page loses no reply."""

import json
from collections.abc import Iterator

import pytest
from playwright.async_api import BrowserContext, Page, expect

from harness.system import System
from tests.browser.chat_page import SLOW, ChatPage
from tests.browser.conftest import Watch, with_model

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A whole system that the test may break."""
    with System(tmp_path_factory.mktemp("mortal")) as system:
        system.add_memory()
        system.add_chat(with_model(system) | {"SAVE_TIMEOUT_SECONDS": "0.5"})
        system.start()
        yield system


@pytest.fixture
def breaking(page: Page, mortal: System, watch: Watch) -> ChatPage:
    """A tab for the page of a system that breaks. The browser logs the requests that fail."""
    watch.expected = ["Failed to load resource"]
    return ChatPage(page, mortal.chats[0].url)


async def reply_unsaved(tab: Page, code: str) -> None:
    """Let a turn have a reply that is not saved, as if memory had not responded before it."""
    metadata = {"turn_id": code, "history": "not_saved", "memory": "unavailable", "code": code}
    body = f"event: done\ndata: {json.dumps({'reply': 'A reply', 'metadata': metadata})}\n\n"
    await tab.route("**/chat/stream", lambda route: route.fulfill(content_type="text/event-stream", body=body))


async def test_a_reload_in_mid_reply_loses_nothing(chat: ChatPage) -> None:
    """After a reload the page has what was said so far, then the rest, by the same key. The turn is there once."""
    await chat.enter("reloader")
    await chat.say(SLOW)
    await expect(chat.reply).to_contain_text("word3")
    await chat.tab.reload()
    await expect(chat.reply).to_contain_text("You said: script:slow word0 word1 word2 word3")
    assert "word29" not in await chat.reply.inner_text()
    await expect(chat.reply).to_contain_text("word29")
    await chat.until_idle()
    assert chat.keys == chat.keys[:1] * 2
    await chat.tab.reload()
    await expect(chat.reply).to_contain_text("word29")
    await expect(chat.messages).to_have_count(2)


async def test_a_second_tab_joins_the_reply(chat: ChatPage, context: BrowserContext) -> None:
    """A tab that opens the session in mid-reply, and one that had it open before, get the whole reply as well."""
    await chat.enter("doubler")
    await chat.ask("Hello")
    before, after = [ChatPage(await context.new_page(), chat.url) for _ in range(2)]
    await before.tab.goto(chat.tab.url)
    await expect(before.messages).to_have_count(2)
    await chat.say(SLOW)
    await expect(chat.reply).to_contain_text("word3")
    await after.tab.goto(chat.tab.url)
    for tab in (before, after):
        await expect(tab.reply).to_contain_text("You said: script:slow word0 word1")
        assert tab.keys == chat.keys[1:]
    for tab in (chat, before, after):
        await tab.until_idle()
        await expect(tab.reply).to_contain_text("word29")
        await expect(tab.messages).to_have_count(4)


async def test_either_tab_may_stop(chat: ChatPage, context: BrowserContext) -> None:
    """A reply that one tab stops is stopped in the other."""
    await chat.enter("stoppers")
    await chat.say(SLOW)
    await expect(chat.reply).to_contain_text("word3")
    other = ChatPage(await context.new_page(), chat.url)
    await other.tab.goto(chat.tab.url)
    await expect(other.reply).to_contain_text("word3")
    await other.stop.click()
    for tab in (chat, other):
        await expect(tab.last).to_contain_text("You stopped this reply.")
    assert await chat.reply.inner_text() == await other.reply.inner_text()


async def test_a_lost_connection_is_taken_up_again(chat: ChatPage, context: BrowserContext, watch: Watch) -> None:
    """Without a network the page says that it keeps trying. When it is back, the whole reply is there."""
    watch.expected = ["ERR_INTERNET_DISCONNECTED", "404"]
    await chat.enter("traveller")
    await context.set_offline(True)
    await chat.say("Hello")
    await expect(chat.last).to_contain_text("The page keeps trying, and nothing is lost.")
    await context.set_offline(False)
    await expect(chat.button("Ask again")).to_be_visible()
    await chat.button("Ask again").click()
    await expect(chat.reply).to_have_text("You said: Hello")
    assert chat.keys == chat.keys[:1] * len(chat.keys)


async def test_a_kill_in_mid_reply_leads_to_an_offer(breaking: ChatPage, mortal: System, watch: Watch) -> None:
    """After kill -9 in mid-reply the page waits for the service, and then offers to ask again with the same key."""
    await breaking.enter("survivor")
    await breaking.say(SLOW)
    await expect(breaking.reply).to_contain_text("word3")
    mortal.chats[0].app.kill()
    await expect(breaking.last).to_contain_text("The page keeps trying")
    mortal.chats[0].app.start()
    await breaking.button("Ask again").click()
    await expect(breaking.reply).to_contain_text("word29")
    await breaking.until_idle()
    assert breaking.keys == breaking.keys[:1] * len(breaking.keys)
    await breaking.tab.reload()
    await expect(breaking.reply).to_contain_text("word29")
    await expect(breaking.messages).to_have_count(2)


async def test_a_reply_stored_before_a_kill_is_shown_after_it(
    breaking: ChatPage, mortal: System, context: BrowserContext
) -> None:
    """A reply that was stored while no page was open is there when the page comes back after a restart."""
    await breaking.enter("returner")
    await breaking.say(SLOW)
    await expect(breaking.reply).to_contain_text("word3")
    address = breaking.tab.url
    await breaking.tab.goto("about:blank")
    key = breaking.keys[0]
    other = ChatPage(await context.new_page(), breaking.url)
    await other.tab.goto(address)
    await expect(other.reply).to_contain_text("word29")
    await other.until_idle()
    await other.tab.evaluate(
        "(key) => { const name = `chat.turn/returner/${location.hash.slice(1)}`;"
        " localStorage.setItem(name, JSON.stringify({key, text: document.querySelector('.user .body').textContent})) }",
        key,
    )  # as it was when the first page was left
    mortal.chats[0].app.kill()
    mortal.chats[0].app.start()
    mortal.chats[0].app.until_ready()
    back = ChatPage(await context.new_page(), breaking.url)
    await back.tab.goto(address)
    await expect(back.reply).to_contain_text("word29")
    await back.until_idle()
    await expect(back.messages).to_have_count(2)
    assert back.keys == [key]


@pytest.mark.parametrize(
    ("is_sent", "notice"),
    [
        (False, "This reply is not saved, because memory did not respond."),
        (True, "It is not known whether this reply is saved: memory did not respond in time."),
    ],
    ids=["no sidecar", "no memory service"],
)
async def test_a_reply_that_was_not_saved_can_be_saved(
    breaking: ChatPage, mortal: System, *, is_sent: bool, notice: str
) -> None:
    """While memory is away a reply says what is known of its save. `Save it` saves the very same reply, once."""
    lost = mortal.memories[0].app if is_sent else mortal.chats[0].sidecar
    await breaking.enter("saver")
    await breaking.ask("Before")
    lost.kill()
    await breaking.say("Keep this")
    await expect(breaking.last).to_contain_text(notice)
    await breaking.button("Save it").click()
    await expect(breaking.button("Save it")).to_be_enabled()  # it is not while the save goes on
    lost.start()
    lost.until_ready()
    await breaking.button("Save it").click()
    await expect(breaking.button("Save it")).to_be_hidden()
    await breaking.notice("Saved")
    await breaking.tab.reload()
    await expect(breaking.messages).to_have_count(4)
    await expect(breaking.reply).to_have_text("You said: Keep this")


async def test_a_reply_that_was_not_saved_survives_a_reload(breaking: ChatPage, mortal: System) -> None:
    """A reload asks for the same turn again, and its reply is saved when memory is back."""
    await breaking.enter("waiter")
    mortal.memories[0].app.kill()
    await breaking.say("Keep this")
    await expect(breaking.last).to_contain_text("It is not known whether this reply is saved")
    await breaking.tab.reload()
    await expect(breaking.last).to_contain_text("It is not known whether this reply is saved")
    mortal.memories[0].app.start()
    mortal.memories[0].app.until_ready()
    await breaking.button("Save it").click()
    await breaking.notice("Saved")
    await expect(breaking.reply).to_have_text("You said: Keep this")


async def test_a_save_of_an_older_reply_leaves_the_running_turn(chat: ChatPage) -> None:
    """`Save it` of a reply from before saves that one. After a reload the turn that runs is resumed all the same."""
    await chat.enter("saver")
    await reply_unsaved(chat.tab, "memory_unavailable")
    await chat.say("First one")
    await expect(chat.button("Save it")).to_be_visible()
    await chat.tab.unroute("**/chat/stream")
    await chat.say(SLOW)
    await expect(chat.reply).to_contain_text("word3")
    saved = {"reply": "A reply", "metadata": {"history": "saved", "memory": "ok"}}
    await chat.tab.route("**/chat/?resume=true", lambda route: route.fulfill(json=saved))
    await chat.button("Save it").click()
    await chat.notice("Saved")
    await chat.tab.reload()
    await expect(chat.reply).to_contain_text("word29")
    first, second = chat.keys[:2]
    assert chat.keys == [first, second, first, second]


async def test_a_reply_that_memory_refused_is_not_offered_to_save(chat: ChatPage) -> None:
    """Also if memory did not respond before: the code decides. After a reload the page does not ask for it again."""
    await chat.enter("refused")
    for code in ("not_owner", "session_deleted", "history_too_large", "reply_too_long"):
        await reply_unsaved(chat.tab, code)
        await chat.say(code)
        await expect(chat.last).to_contain_text(f"This reply cannot be saved ({code})")
        await expect(chat.button("Save it")).to_have_count(0)
        assert await chat.tab.evaluate("localStorage.length") == 1  # the name


async def test_a_turn_that_memory_refuses_is_not_resumed(chat: ChatPage, watch: Watch) -> None:
    """A message in somebody else's session fails, and the page does not ask for it again after each reload."""
    watch.expected = ["403"]
    await chat.enter("owner")
    await chat.ask("Mine")
    address = chat.tab.url
    await chat.become("guest")
    await chat.tab.goto(address)
    await chat.say("Hello")
    await expect(chat.button("Try again")).to_be_visible()
    assert await chat.tab.evaluate("localStorage.length") == 1  # the name


async def test_what_is_erased_is_not_kept_to_be_saved(chat: ChatPage) -> None:
    """The browser keeps no turn of a deleted session or of an erased user, and those of others."""
    kept = "Object.keys(localStorage).filter((name) => name.startsWith('chat.turn/'))"
    other = "chat.turn/eraser-too/session"
    await chat.enter("eraser")
    await chat.tab.evaluate("(name) => localStorage.setItem(name, '{}')", other)
    await chat.ask("Before")
    await reply_unsaved(chat.tab, "memory_unavailable")
    await chat.say("Forget this")
    await expect(chat.button("Save it")).to_be_visible()
    await chat.button("Delete session: Before").click()
    await chat.button("Delete").click()
    await expect(chat.messages).to_have_count(0)
    assert await chat.tab.evaluate(kept) == [other]
    await chat.say("Forget this too")
    await expect(chat.button("Save it")).to_be_visible()
    await chat.button("What is remembered").click()
    await chat.button("Erase everything").click()
    await chat.tab.locator("#question-yes").click()
    await chat.notice("Everything is erased")
    assert await chat.tab.evaluate(kept) == [other]


async def test_a_message_is_sent_although_the_storage_is_full(chat: ChatPage) -> None:
    """What the browser cannot keep for a reload is no reason to send nothing."""
    await chat.enter("hoarder")
    await chat.tab.evaluate("void (Storage.prototype.setItem = () => { throw new DOMException('full') })")
    await chat.say("Hello")
    await expect(chat.reply).to_have_text("You said: Hello")
