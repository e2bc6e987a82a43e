"""What is remembered: it can be read, corrected, removed one by one, exported and erased."""

import json
from pathlib import Path

import pytest
from playwright.async_api import Locator, expect

from harness.system import System
from tests.browser.chat_page import ChatPage, held, summarized
from tests.browser.conftest import Watch

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


async def opened(chat: ChatPage) -> Locator:
    """Open the panel."""
    await chat.button("What is remembered").click()
    panel = chat.tab.get_by_role("dialog", name="What is remembered")
    await expect(panel.get_by_label("Name")).not_to_have_value("")
    return panel


async def test_the_profile_can_be_corrected(chat: ChatPage) -> None:
    """A changed profile is there when the panel is opened again."""
    await chat.enter("corrector")
    panel = await opened(chat)
    await panel.get_by_label("Name").fill("Grace")
    await panel.get_by_label("Goal").fill("learn Dapr")
    await panel.get_by_role("button", name="Save profile").click()
    await chat.notice("The profile is saved")
    await chat.tab.keyboard.press("Escape")
    await expect(panel).to_be_hidden()
    await expect(chat.button("What is remembered")).to_be_focused()
    await chat.tab.reload()
    await expect(chat.text).to_be_enabled()
    panel = await opened(chat)
    await expect(panel.get_by_label("Name")).to_have_value("Grace")
    await expect(panel.get_by_label("Goal")).to_have_value("learn Dapr")


async def test_facts_are_added_changed_and_removed_one_by_one(chat: ChatPage) -> None:
    """Each fact has its own buttons, and says since when it is kept."""
    await chat.enter("knower")
    panel = await opened(chat)
    for text in ("Likes tea", "Has a dog"):
        await panel.get_by_label("New fact").fill(text)
        await panel.get_by_role("button", name="Add fact").click()
        await expect(panel.get_by_label(f"Fact: {text}", exact=True)).to_have_value(text)
    await expect(panel.locator("#facts li small").first).to_contain_text("Since ")
    await panel.get_by_label("Fact: Likes tea", exact=True).fill("Likes green tea")
    await panel.get_by_role("button", name="Change fact: Likes tea").click()
    await chat.notice("The fact is changed")
    await panel.get_by_role("button", name="Remove fact: Has a dog").click()
    await chat.notice("The fact is removed")
    await expect(panel.locator("#facts input")).to_have_count(1)
    await expect(panel.get_by_label("Fact: Likes green tea", exact=True)).to_have_value("Likes green tea")


async def test_a_double_click_changes_once(chat: ChatPage) -> None:
    """A button does not begin again while its request is on its way, and keeps its focus."""
    await chat.enter("doubler")
    panel = await opened(chat)
    await panel.get_by_label("New fact").fill("Likes tea")
    await panel.get_by_role("button", name="Add fact").click()
    await chat.notice("The fact is added")
    sent: list[str] = []
    chat.tab.on("request", lambda request: sent.append(request.method))
    await panel.get_by_label("Fact: Likes tea", exact=True).fill("Likes green tea")
    await panel.get_by_role("button", name="Change fact: Likes tea").dblclick()
    await chat.notice("The fact is changed")
    assert sent.count("PATCH") == 1


async def test_the_summary_can_be_corrected_and_removed(chat: ChatPage, served: System) -> None:
    """The corrected text is there after a reload. A removed one is gone for the model, and the messages stay."""
    await chat.enter("summarized")
    panel = await opened(chat)
    summary = panel.get_by_role("textbox", name="Summary of this session")
    await expect(panel.locator("#summary-help")).to_contain_text("There is none: all messages of the session")
    await expect(summary).to_be_hidden()
    await chat.tab.keyboard.press("Escape")
    await chat.ask("I have a dog")
    await summarized(chat, served, "Has a cat.")
    panel = await opened(chat)
    await expect(summary).to_have_value("Has a cat.")
    await expect(panel.locator("#summary-help")).to_contain_text("in place of the first 2 messages")
    await summary.fill("Has a dog.")
    await panel.get_by_role("button", name="Correct summary").click()
    await chat.notice("The summary is corrected")
    await chat.tab.reload()
    await expect(chat.messages).to_have_count(2)
    panel = await opened(chat)
    await expect(summary).to_have_value("Has a dog.")
    await panel.get_by_role("button", name="Remove summary").click()
    await chat.notice("The summary is removed")
    await expect(summary).to_be_hidden()
    await expect(panel.locator("#summary-help")).to_contain_text("no summary of the first 2 messages. They stay in the")
    await expect(panel.locator("#remembered-title")).to_be_focused()
    await chat.tab.keyboard.press("Escape")
    await expect(chat.messages).to_have_count(2)


async def test_a_summary_that_changed_meanwhile_is_not_overwritten(
    chat: ChatPage, served: System, watch: Watch
) -> None:
    """The panel says so and keeps what was written. Opened again, it shows the newer summary."""
    watch.expected = ["409"]
    await chat.enter("overtaken")
    await chat.ask("I have a dog")
    await summarized(chat, served, "Has a cat.")
    panel = await opened(chat)
    summary = panel.get_by_role("textbox", name="Summary of this session")
    await expect(summary).to_have_value("Has a cat.")
    other = ChatPage(await chat.tab.context.new_page(), chat.url)
    await other.tab.goto(chat.tab.url)
    await expect(other.messages).to_have_count(2)
    await other.ask("And a bird")
    await summarized(chat, served, "Has a cat and a bird.")
    await summary.fill("Has a dog.")
    await panel.get_by_role("button", name="Correct summary").click()
    await expect(panel.get_by_role("alert")).to_contain_text("The summary was changed meanwhile")
    await expect(summary).to_have_value("Has a dog.")
    await chat.tab.keyboard.press("Escape")
    await opened(chat)
    await expect(summary).to_have_value("Has a cat and a bird.")


async def test_a_problem_is_said_in_the_panel(chat: ChatPage, watch: Watch) -> None:
    """If memory does not respond, the panel says so and stays open."""
    watch.expected = ["503"]
    await chat.enter("unlucky")
    panel = await opened(chat)
    await chat.tab.route("**/facts", lambda route: route.fulfill(status=503, json={"detail": "Not now.", "code": "x"}))
    await panel.get_by_label("New fact").fill("Likes tea")
    await panel.get_by_role("button", name="Add fact").click()
    await expect(panel.get_by_role("alert")).to_have_text("Not now.")


async def test_a_panel_shows_nothing_of_the_user_before(chat: ChatPage, watch: Watch) -> None:
    """What cannot be read is empty and cannot be saved: neither somebody else's profile, nor empty fields."""
    watch.expected = ["503"]
    await chat.enter("anna")
    panel = await opened(chat)
    await panel.get_by_label("Goal").fill("learn Dapr")
    await panel.get_by_label("New fact").fill("Likes tea")
    await panel.get_by_role("button", name="Add fact").click()
    await expect(panel.locator("#facts li")).to_have_count(1)
    await chat.tab.keyboard.press("Escape")
    await chat.become("berta")
    await chat.tab.route(
        "**/users/berta/*", lambda it: it.fulfill(status=503, json={"detail": "Not now.", "code": "x"})
    )
    await chat.button("What is remembered").click()
    await expect(panel.get_by_role("alert")).to_have_text("Not now.")
    await expect(panel.get_by_label("Goal")).to_have_value("")
    await expect(panel.locator("#facts li")).to_have_count(0)
    await expect(panel.get_by_label("Goal")).to_be_disabled()
    await expect(panel.get_by_role("button", name="Save profile")).to_be_disabled()
    await chat.tab.unroute("**/users/berta/*")
    await chat.tab.keyboard.press("Escape")
    await opened(chat)
    await expect(panel.get_by_role("button", name="Save profile")).to_be_enabled()


async def test_a_profile_that_comes_late_is_not_shown_to_the_next_user(chat: ChatPage) -> None:
    """The panel is closed before the profile comes, and opened by somebody else: it keeps that person's own."""
    await chat.enter("slow")
    goes_on = await held(chat.tab, "**/users/slow/profile")
    async with chat.tab.expect_request("**/profile"):
        await chat.button("What is remembered").click()
    await chat.tab.keyboard.press("Escape")
    await chat.become("quick")
    panel = await opened(chat)
    name = await panel.get_by_label("Name").input_value()
    async with chat.tab.expect_response("**/users/slow/profile") as late:
        goes_on.set()
    await (await late.value).finished()
    await panel.get_by_role("button", name="Save profile").click()
    await chat.notice("The profile is saved")
    await expect(panel.get_by_label("Name")).to_have_value(name)


@pytest.mark.parametrize("fails", [False, True])
async def test_nothing_of_what_one_did_is_shown_to_the_next_user(
    chat: ChatPage, served: System, watch: Watch, fails: bool
) -> None:
    """A fact and a summary whose responses come late change nothing in a panel that somebody else has opened since."""
    watch.expected = ["503"]
    await chat.enter("late")
    await chat.ask("I have a dog")
    await summarized(chat, served, "Has a cat.")
    panel = await opened(chat)
    summary = panel.get_by_role("textbox", name="Summary of this session")
    await expect(summary).to_have_value("Has a cat.")
    goes_on = [await held(chat.tab, pattern, fails) for pattern in ("**/summary?*", "**/users/late/facts")]
    async with chat.tab.expect_request("**/summary?*"), chat.tab.expect_request("**/users/late/facts"):
        await panel.get_by_role("button", name="Correct summary").click()
        await panel.get_by_label("New fact").fill("Likes tea")
        await panel.get_by_role("button", name="Add fact").click()
    await chat.tab.keyboard.press("Escape")
    await chat.become("early")
    await opened(chat)
    await panel.get_by_label("New fact").fill("Half written")
    async with chat.tab.expect_response("**/summary?*"), chat.tab.expect_response("**/users/late/facts"):
        for event in goes_on:
            event.set()
    await chat.settled()
    await expect(summary).to_be_hidden()
    await expect(panel.get_by_label("New fact")).to_have_value("Half written")
    await expect(panel.get_by_role("alert")).to_be_hidden()


async def test_everything_is_exported_as_a_file(chat: ChatPage, tmp_path: Path) -> None:
    """The file has the profile and the messages."""
    await chat.enter("exporter")
    await chat.ask("Keep this")
    panel = await opened(chat)
    async with chat.tab.expect_download() as download:
        await panel.get_by_role("button", name="Export everything").click()
    file = await download.value
    await file.save_as(tmp_path / "export.json")
    exported = json.loads((tmp_path / "export.json").read_text())
    assert (exported["user_id"], file.suggested_filename) == ("exporter", "exporter.json")
    assert [it["content"] for it in exported["conversations"][0]["history"]] == ["Keep this", "You said: Keep this"]


async def test_an_erase_asks_and_names_what_goes(chat: ChatPage) -> None:
    """Cancel keeps everything; `Erase everything` leaves no session, no profile and no fact."""
    await chat.enter("leaver")
    await chat.ask("Forget this")
    panel = await opened(chat)
    await panel.get_by_label("New fact").fill("Likes tea")
    await panel.get_by_role("button", name="Add fact").click()
    await expect(panel.locator("#facts li")).to_have_count(1)
    question = chat.tab.get_by_role("dialog", name="Erase everything?")
    await panel.get_by_role("button", name="Erase everything").click()
    await expect(question).to_contain_text("All that is kept of leaver goes for good: the profile, all facts, and all")
    await expect(question.get_by_role("button", name="Cancel")).to_be_focused()
    await question.get_by_role("button", name="Cancel").click()
    await expect(panel.locator("#facts li")).to_have_count(1)
    await panel.get_by_role("button", name="Erase everything").click()
    await question.get_by_role("button", name="Erase everything").click()
    await expect(panel).to_be_hidden()
    await chat.notice("Everything is erased")
    await expect(chat.messages).to_have_count(0)
    await expect(chat.tab.locator("#session-list li")).to_have_count(0)
    panel = await opened(chat)
    await expect(panel.locator("#no-facts")).to_be_visible()
