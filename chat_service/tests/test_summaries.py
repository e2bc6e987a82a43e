"""Summaries: when one is due, what it covers, and that no message is lost and no turn waits."""

import asyncio
import json
import logging

import httpx
import httpx2
import pytest

from agent.context import WINDOW_MESSAGES
from agent.prompts import SUMMARY_INSTRUCTIONS, read_summary_task
from main import create_app
from memory_models import Conversation, ConversationEntry, Summary
from settings import Settings
from tests.asgi_calls import background_ended, settled
from tests.model_server import serving
from tests.scripted_memory import ScriptedMemory, refusal, sidecar_failure
from tests.scripted_model import ScriptedModel, completion, text
from turn.summaries import MAX_RUNNING
from turn.summary_pieces import CUT, cut, is_due, next_piece

Body = dict[str, object]
HELLO: Body = {"user_id": "alice", "text": "Hello", "metadata": {"session_id": "s1"}}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Saves are waited for: none fails here."""
    return settings.model_copy(update={"save_timeout_seconds": 5.0})


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


def without(response: httpx.Response, field: str) -> httpx.Response:
    """The response without a field that an older memory service does not send."""
    body = {name: value for name, value in response.json().items() if name != field}
    return httpx.Response(response.status_code, json=body)


def pieces(entries: list[ConversationEntry], budget_chars: int) -> list[int]:
    """The number of messages in each piece of a summary of these messages."""
    lengths = []
    while piece := next_piece(entries, budget_chars):
        assert piece == entries[: len(piece)]
        lengths.append(len(piece))
        entries = entries[len(piece) :]
    return lengths


def test_pieces_are_whole_turns_within_the_budget() -> None:
    """The pieces to summarize hold whole turns, oldest first, without the newest turn."""
    assert pieces(said(10, 100), 500) == [4, 4]
    assert pieces(said(4, 1_000), 500) == [2, 2]
    assert pieces(said(2), 500) == []


def test_turn_that_does_not_fit_the_window_is_summarized() -> None:
    """A newest turn with too many characters or messages for the window is summarized too."""
    assert pieces(said(2, 251), 500) == [2]
    assert pieces(said(4, 250), 500) == [2]
    one_turn = [ConversationEntry(role="assistant", content="x", turn_id="t") for _ in range(WINDOW_MESSAGES + 1)]
    assert pieces(one_turn, 500) == [WINDOW_MESSAGES + 1]


def test_turn_too_long_for_the_model_is_cut() -> None:
    """Of a single turn that is longer than the budget the model gets the beginning of each message."""
    long, short = (ConversationEntry(role="user", content="x" * length) for length in (400, 10))
    assert [it.content for it in cut([long, short], 100)] == ["x" * 50 + CUT, "x" * 10]
    assert cut([long, short], 410) == [long, short]


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
    fill(memory, 100)

    async def newest() -> httpx.Response:
        response = await memory.handle(memory.calls("history")[-1])
        memory.remember("s1", "alice", ("user", "late"), ("assistant", "late"))
        if later == "replaced":
            memory.sessions["s1"].epoch = "e2"
        return response

    memory.respond_next("history", newest)
    await client.post("/chat/", json=HELLO)
    await memory.until(lambda: len(memory.calls("history")) >= 2)  # the newest, those before
    await background_ended()
    read = [read_summary_task(str(asked.messages[1]["content"])) for asked in model.requests[1:]]
    summarized = [f"m{number}" for number in range(100)] if later == "appended" else []
    assert [it.content for task in read if task for it in task.messages] == summarized
    assert (memory.sessions["s1"].summary or {}).get("through") == (100 if summarized else None)


async def test_summary_of_what_the_turn_has_read_is_written_without_a_read(
    client: httpx.AsyncClient, memory: ScriptedMemory
) -> None:
    """If no other turn came between, the turn's own read has all that the summary needs."""
    fill(memory, 14)
    await client.post("/chat/", json=HELLO)
    await background_ended()
    assert (memory.sessions["s1"].summary or {})["through"] == 14
    assert memory.calls("history") == []


async def test_turn_recorded_between_read_and_append_is_summarized(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """A turn that another request records meanwhile is in the summary too, at its place."""
    fill(memory, 30)
    memory.sessions["s1"].summary = {"text": "Before.", "through": 14}

    async def append() -> httpx.Response:
        memory.remember("s1", "alice", ("user", "other"), ("assistant", "other"))
        return await memory.handle(memory.calls("append")[-1])

    memory.respond_next("append", append)
    await client.post("/chat/", json=HELLO)
    await background_ended()
    read = read_summary_task(str(model.requests[1].messages[1]["content"]))
    assert read is not None
    expected = [*(f"m{number}" for number in range(14, 30)), "other", "other"]
    assert [it.content for it in read.messages] == expected
    assert (memory.sessions["s1"].summary or {})["through"] == 32


async def test_reply_that_another_replica_stored_is_summarized(memory: ScriptedMemory, model: ScriptedModel) -> None:
    """If the append returns another reply to the same request, the summary is of that one; it fills the window."""
    app = create_app(
        Settings(llm_base_url="http://model.test/v1", llm_model="scripted", context_budget_chars=1_000),
        memory_transport=httpx.MockTransport(memory.handle),
        model_transport=httpx2.MockTransport(model.handle),
    )
    fill(memory, 2)

    async def append() -> httpx.Response:
        body = json.loads(memory.calls("append")[-1].content)
        said = (("user", "Hello"), ("assistant", "By another replica: " + "x" * 1_000))
        memory.sessions["s1"].entries += [
            {"role": role, "content": content, "timestamp": "then", "turn_id": body["turn_id"]}
            for role, content in said
        ]
        return await memory.handle(memory.calls("append")[-1])

    memory.respond_next("append", append)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://chat.test") as client:
        response = await client.post("/chat/", json=HELLO, headers={"Idempotency-Key": "k"})
    assert response.json()["reply"].startswith("By another replica")
    await background_ended()
    tasks = [read_summary_task(str(it.messages[1]["content"])) for it in model.requests[1:]]
    summarized = [it.content[:20] for task in tasks if task for it in task.messages]
    assert summarized == ["m0", "m1", "Hello", "By another replica: "]


async def test_summary_stored_between_read_and_append_is_not_written_again(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """The response to the append says how far the summary is by then."""
    fill(memory, 14)

    async def append() -> httpx.Response:
        memory.sessions["s1"].summary = {"text": "By another replica.", "through": 10}
        return await memory.handle(memory.calls("append")[-1])

    memory.respond_next("append", append)
    await client.post("/chat/", json=HELLO)
    await background_ended()
    assert len(model.requests) == 1
    assert memory.calls("summary") == []


@pytest.mark.parametrize("known", [True, False])
async def test_summary_stored_meanwhile_that_covers_too_little_is_continued(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel, known: bool
) -> None:
    """What the turn has read is out of date then, so it is read again, also for an older memory service."""
    fill(memory, 18)

    async def append() -> httpx.Response:
        memory.sessions["s1"].summary = {"text": "By another replica.", "through": 2}
        response = await memory.handle(memory.calls("append")[-1])
        return response if known else without(response, "summarized")

    memory.respond_next("append", append)
    await client.post("/chat/", json=HELLO)
    await background_ended()
    read = read_summary_task(str(model.requests[1].messages[1]["content"]))
    assert read is not None
    assert (read.summary, read.messages[0].content) == ("By another replica.", "m2")
    assert (memory.sessions["s1"].summary or {})["through"] == 18


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
    await background_ended()
    await client.post("/chat/", json=HELLO)
    await model.until_requested(4)
    assert (await client.post("/chat/", json=HELLO)).json()["metadata"]["summary_lag"] == 2
    assert "summary failed session=s1 code=model_empty_reply" in caplog.text


async def test_short_sessions_get_no_summary(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """A session within its window gets no summary."""
    for _ in range(6):
        await client.post("/chat/", json=HELLO)
    assert len(model.requests) == 6


GOOD: dict[str, str | int] = {
    "text": "The user plans a trip to Rome in May and wants a quiet hotel near the station.",
    "through": 2,
}


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (text(None, refusal="I cannot help with that."), "summary_refused"),
        (text("I cannot help with that."), "summary_refused"),
        (text("I\u2019m sorry, but I can\u2019t assist with this request."), "summary_refused"),
        (completion({"role": "assistant", "content": None}, "content_filter"), "summary_refused"),
        (completion({"role": "assistant", "content": "The user plans a trip to"}, "content_filter"), "summary_cut"),
        (completion({"role": "assistant", "content": "The user plans a trip to"}, "length"), "summary_cut"),
        (completion({"role": "assistant", "content": "The user plans a trip to"}, "SAFETY"), "summary_cut"),
        (text("No."), "summary_too_short"),
    ],
)
async def test_bad_summary_never_replaces_a_good_one(
    client: httpx.AsyncClient,
    memory: ScriptedMemory,
    model: ScriptedModel,
    caplog: pytest.LogCaptureFixture,
    response: httpx2.Response,
    code: str,
) -> None:
    """A refusal and a summary that was cut off are failures; the next turn tries again."""
    fill(memory, 18)
    memory.sessions["s1"].summary = {**GOOD}
    model.respond_with(text("Good."), response)
    await client.post("/chat/", json=HELLO)
    await background_ended()
    assert memory.sessions["s1"].summary == GOOD
    assert f"summary failed session=s1 code={code}" in caplog.text
    model.respond_with(text("Good."), text("The user changed the plan to Oslo."))
    await client.post("/chat/", json=HELLO)
    await memory.until(lambda: memory.sessions["s1"].summary != GOOD)


async def test_failing_summary_backs_off(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """A summary that always fails is asked for after 1, 2, 4, 8 ... turns; once it works it is whole."""
    fill(memory, 18)
    asked_at = []
    for turn in range(1, 17):
        before = len(model.requests)
        model.respond_with(text("Good."), *([text("")] if turn in (1, 2, 4, 8) else []))
        await client.post("/chat/", json=HELLO)
        await background_ended()
        if len(model.requests) - before > 1:
            asked_at.append(turn)
    assert asked_at == [1, 2, 4, 8, 16]
    assert (memory.sessions["s1"].summary or {})["through"] == 18 + 2 * 15


class HeldSummaries:
    """A model that replies to turns and holds back summaries."""

    def __init__(self, model: ScriptedModel) -> None:
        self.gate = asyncio.Event()
        self.running = self.most = 0
        self._model = model
        self._changed = asyncio.Condition()

    async def until_running(self, number: int) -> None:
        """Wait until this many summaries are being written."""
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(lambda: self.running >= number)

    async def handle(self, request: httpx2.Request) -> httpx2.Response:
        """Respond to one request."""
        if json.loads(request.content)["messages"][0]["content"] != SUMMARY_INSTRUCTIONS:
            return await self._model.handle(request)
        self.running += 1
        self.most = max(self.most, self.running)
        async with self._changed:
            self._changed.notify_all()
        await self.gate.wait()
        self.running -= 1
        return text("They talked.")


async def test_summaries_are_bounded(
    settings: Settings, memory: ScriptedMemory, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few summaries run at once, a number of sessions waits, and further ones are left to a later turn."""
    monkeypatch.setattr("turn.summaries.MAX_SESSIONS", 6)
    held = HeldSummaries(model)
    app = create_app(
        settings,
        memory_transport=httpx.MockTransport(memory.handle),
        model_transport=httpx2.MockTransport(held.handle),
    )
    sessions = [f"s{number}" for number in range(8)]
    for session in sessions:
        memory.remember(session, "alice", *[("user", "a"), ("assistant", "b")] * 8)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://chat.test") as client:
        for session in sessions:
            await client.post("/chat/", json={**HELLO, "metadata": {"session_id": session}})
        await held.until_running(MAX_RUNNING)
        await settled()
        assert held.running == MAX_RUNNING
        held.gate.set()
        await memory.until(lambda: sum(it.summary is not None for it in memory.sessions.values()) == 6)
        assert held.most == MAX_RUNNING
        await background_ended()
        await client.post("/chat/", json={**HELLO, "metadata": {"session_id": "s7"}})
        await memory.until(lambda: memory.sessions["s7"].summary is not None)


async def test_summaries_have_connections_of_their_own(memory: ScriptedMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn gets its reply while summaries hold every connection that they may have."""
    monkeypatch.setattr("llm.connections.MAX_CONNECTIONS", 1)
    is_summarizing, gate = asyncio.Event(), asyncio.Event()

    async def serve(body: bytes) -> bytes:
        if b"You condense" in body:
            is_summarizing.set()
            await gate.wait()
        return text("Good.").content

    async with serving(serve) as url:
        app = create_app(
            Settings(llm_base_url=url, llm_model="scripted"), memory_transport=httpx.MockTransport(memory.handle)
        )
        fill(memory, 18)
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://chat.test") as client,
            asyncio.timeout(5),
        ):
            await client.post("/chat/", json=HELLO)
            await is_summarizing.wait()
            assert (await client.post("/chat/", json=HELLO)).status_code == 200
            gate.set()


async def test_long_backlog_is_summarized_in_batches(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a session that is far behind a limited number of messages is held at once, until it is all summarized."""
    monkeypatch.setattr("turn.summaries.PAGE_MESSAGES", 20)
    monkeypatch.setattr("memory_client.PAGE_MESSAGES", 20)
    monkeypatch.setattr("turn.summaries.MAX_BATCH_MESSAGES", 30)
    fill(memory, 100)
    await client.post("/chat/", json=HELLO)
    await memory.until(lambda: (memory.sessions["s1"].summary or {}).get("through") == 100)
    tasks = [read_summary_task(str(asked.messages[1]["content"])) for asked in model.requests[1:]]
    assert [it.content for task in tasks if task for it in task.messages] == [f"m{number}" for number in range(100)]
    assert max(len(task.messages) for task in tasks if task) <= 30
