"""Summaries: when one is due, what it covers, and that no message is lost and no turn waits."""

import asyncio
import logging

import httpx
import httpx2
import pytest

from agent.context import WINDOW_MESSAGES
from agent.prompts import SUMMARY_INSTRUCTIONS, read_summary_task
from memory_models import Conversation, ConversationEntry, Summary
from tests.asgi_calls import settled
from tests.scripted_memory import ScriptedMemory, refusal, sidecar_failure
from tests.scripted_model import ScriptedModel, text
from turn.summaries import is_due, pieces

Body = dict[str, object]
HELLO: Body = {"user_id": "alice", "text": "Hello", "metadata": {"session_id": "s1"}}


def said(count: int, length: int = 1) -> list[ConversationEntry]:
    """This many messages of this length, two for each turn."""
    roles = ("user", "assistant")
    return [
        ConversationEntry(role=roles[place % 2], content="x" * length, turn_id=f"t{place // 2}")
        for place in range(count)
    ]


def fill(memory: ScriptedMemory, count: int) -> None:
    """Store this many numbered messages in session s1."""
    memory.remember("s1", "alice", *[("assistant" if it % 2 else "user", f"m{it}") for it in range(count)])


@pytest.mark.parametrize(("count", "through", "due"), [(14, 0, False), (15, 0, True), (40, 26, False), (40, 25, True)])
def test_due_before_the_window_is_full(count: int, through: int, due: bool) -> None:
    """A summary is due at three quarters of the window, before any message drops out."""
    newest = said(count)[-WINDOW_MESSAGES:]
    conversation = Conversation(history=newest, total=count, summary=Summary(text="...", through=through))
    assert is_due(conversation, 1_000_000) is due


@pytest.mark.parametrize(("length", "due"), [(370, False), (375, True)])
def test_due_before_the_budget_is_full(length: int, due: bool) -> None:
    """Long messages make a summary due earlier: at three quarters of the character budget."""
    assert is_due(Conversation(history=said(2, length)), 1_000) is due


def test_pieces_are_whole_turns_within_the_budget() -> None:
    """The pieces to summarize hold whole turns, oldest first, without the newest turn."""
    assert [len(piece) for piece in pieces(said(10, 100), 500)] == [4, 4]
    assert [len(piece) for piece in pieces(said(4, 1_000), 500)] == [2, 2]
    assert list(pieces(said(2), 500)) == []


def test_turn_longer_than_the_window_is_summarized() -> None:
    """A newest turn that does not fit into the window is summarized too."""
    assert [len(piece) for piece in pieces(said(2, 251), 500)] == [2]
    assert [len(piece) for piece in pieces(said(4, 250), 500)] == [2]


async def test_summary_is_stored_with_what_it_covers(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """The model summarizes all but the newest turn; the summary states what it covers, and no message is lost."""
    fill(memory, 14)
    model.respond_with(text("Good."), text("They talked."))
    await client.post("/chat/", json=HELLO)
    await memory.until(lambda: memory.sessions["s1"].summary is not None)
    assert memory.sessions["s1"].summary == {"text": "They talked.", "through": 14}
    assert len(memory.sessions["s1"].entries) == 16
    system, task = model.requests[1].messages
    assert system["content"] == SUMMARY_INSTRUCTIONS
    read = read_summary_task(str(task["content"]))
    assert read is not None
    assert [it.content for it in read.messages] == [f"m{number}" for number in range(14)]
    assert "tools" not in model.requests[1].body


async def test_next_summary_continues_the_last(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """Only messages that the summary does not cover are summarized, together with the summary so far."""
    fill(memory, 30)
    memory.sessions["s1"].summary = {"text": "Before.", "through": 14}
    await client.post("/chat/", json=HELLO)
    await memory.until(lambda: memory.sessions["s1"].summary != {"text": "Before.", "through": 14})
    read = read_summary_task(str(model.requests[1].messages[1]["content"]))
    assert read is not None
    assert (read.summary, read.messages[0].content, read.messages[-1].content) == ("Before.", "m14", "m29")


async def test_long_history_is_read_in_pages(
    client: httpx.AsyncClient, memory: ScriptedMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A history longer than one read is read page by page, so that the summary covers all of it."""
    monkeypatch.setattr("turn.summaries.PAGE_MESSAGES", 30)
    monkeypatch.setattr("memory_client.PAGE_MESSAGES", 30)
    fill(memory, 100)
    response = await client.post("/chat/", json=HELLO)
    assert response.json()["metadata"]["summary_lag"] == 80
    await memory.until(lambda: memory.sessions["s1"].summary is not None)
    assert (memory.sessions["s1"].summary or {})["through"] == 100
    assert "summary_lag" not in (await client.post("/chat/", json=HELLO)).json()["metadata"]


@pytest.mark.parametrize("later", ["appended", "replaced"])
async def test_session_that_changes_between_the_reads_loses_nothing(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel, later: str
) -> None:
    """Turns saved while the history is read change nothing; a session that was replaced is not summarized."""
    fill(memory, 50)

    async def newest() -> httpx.Response:
        response = await memory.handle(memory.calls("history")[-1])
        memory.remember("s1", "alice", ("user", "late"), ("assistant", "late"))
        if later == "replaced":
            memory.sessions["s1"].epoch = "e2"
        return response

    async def append() -> httpx.Response:
        memory.respond_next("history", newest)
        return await memory.handle(memory.calls("append")[-1])

    memory.respond_next("append", append)
    await client.post("/chat/", json=HELLO)
    await memory.until(lambda: len(memory.calls("history")) >= 4)  # the turn's, the newest twice, those before
    await settled()
    read = [read_summary_task(str(asked.messages[1]["content"])) for asked in model.requests[1:]]
    summarized = [f"m{number}" for number in range(50)] if later == "appended" else []
    assert [it.content for task in read if task for it in task.messages] == summarized
    assert (memory.sessions["s1"].summary or {}).get("through") == (50 if summarized else None)


async def test_turns_do_not_wait_and_one_task_runs_at_a_time(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """While a summary is being written, turns get replies and no second summary starts for the session."""
    go_on = asyncio.Event()

    async def slowly() -> httpx2.Response:
        await go_on.wait()
        return text("They talked.")

    fill(memory, 14)
    model.respond_with(text("Good."), slowly)
    for _ in range(3):
        response = await client.post("/chat/", json=HELLO)
        assert response.json()["metadata"]["history"] == "saved"
        await settled()
    assert sum(asked.messages[0]["content"] == SUMMARY_INSTRUCTIONS for asked in model.requests) == 1
    go_on.set()
    await memory.until(lambda: memory.sessions["s1"].summary == {"text": "They talked.", "through": 14})


@pytest.mark.parametrize("response", [refusal(409, "summary_conflict"), refusal(404, "not_found"), sidecar_failure()])
async def test_lost_race_drops_the_summary(
    client: httpx.AsyncClient, memory: ScriptedMemory, response: httpx.Response
) -> None:
    """A summary that is too late or cannot be stored is dropped; the next turn starts it again."""
    fill(memory, 14)
    memory.respond_next("summary", response)
    await client.post("/chat/", json=HELLO)
    await memory.until(lambda: len(memory.calls("summary")) == 1)
    assert memory.sessions["s1"].summary is None
    assert (await client.post("/chat/", json=HELLO)).json()["metadata"]["history"] == "saved"
    await memory.until(lambda: memory.sessions["s1"].summary is not None)


async def test_failing_model_is_logged_and_reported(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel, caplog: pytest.LogCaptureFixture
) -> None:
    """If the model cannot summarize, that is logged, and reported once messages are in neither summary nor window."""
    caplog.set_level(logging.INFO)
    fill(memory, 18)
    model.respond_with(text("Good."), text(""), text("Good."), text(""))
    first = await client.post("/chat/", json=HELLO)
    assert "summary_lag" not in first.json()["metadata"]
    await model.until_requested(2)
    await client.post("/chat/", json=HELLO)
    await model.until_requested(4)
    assert (await client.post("/chat/", json=HELLO)).json()["metadata"]["summary_lag"] == 2
    assert "summary failed session=s1 code=model_empty_reply" in caplog.text


async def test_short_sessions_get_no_summary(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """A session within its window gets no summary."""
    for _ in range(6):
        await client.post("/chat/", json=HELLO)
    assert len(model.requests) == 6
