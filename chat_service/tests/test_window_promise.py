"""The promise: every message of a session is in the summary or in the model's window."""

import asyncio

import httpx
import httpx2
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from agent.context import WINDOW_MESSAGES
from agent.prompts import read_chat_instructions
from main import create_app
from settings import Settings
from tests.asgi_calls import background_ended
from tests.scripted_memory import ScriptedMemory
from tests.scripted_model import ScriptedModel, text

BUDGET = 1_000
SIZES = st.integers(1, 300) | st.integers(300, 2 * BUDGET + 200)
"""Lengths of messages around the window's, which is the smallest that the settings allow."""


def numbered(number: int, length: int) -> str:
    """A message of this length that no other message contains."""
    return f"<{number}>".ljust(length, "x")


class Chat:
    """A session of turns with given sizes."""

    def __init__(self, with_keys: bool) -> None:
        self.memory, self.model = ScriptedMemory(), ScriptedModel()
        self.metadata: dict[str, str] = {}
        self._with_keys = with_keys
        self._said: list[str] = []
        app = create_app(
            Settings(llm_base_url="http://model.test/v1", llm_model="scripted", context_budget_chars=BUDGET),
            memory_transport=httpx.MockTransport(self.memory.handle),
            model_transport=httpx2.MockTransport(self.model.handle),
        )
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://chat.test")

    async def take_turn(self, asked: int, replied: int) -> None:
        """One turn, and the summary that follows it. Checks what the model was given."""
        question, reply = (numbered(len(self._said) + place, size) for place, size in enumerate((asked, replied)))
        self.model.respond_with(text(reply))
        body = {"user_id": "alice", "text": question, "metadata": {"session_id": self.metadata.get("session_id")}}
        headers = {"Idempotency-Key": f"k{len(self._said)}"} if self._with_keys else {}
        before = len(self.model.requests)
        summary = self._summary()
        response = await self._client.post("/chat/", json=body, headers=headers)
        self.metadata = response.json()["metadata"]
        self._check(self.model.requests[before].messages, summary, question)
        self._said += [question, reply]
        await background_ended()

    def _summary(self) -> dict[str, str | int]:
        session = self.memory.sessions.get(self.metadata.get("session_id", ""))
        return (session.summary if session else None) or {"text": "", "through": 0}

    def _check(self, given: list[dict[str, object]], summary: dict[str, str | int], question: str) -> None:
        system, *messages = given
        read = read_chat_instructions(str(system["content"]))
        assert read is not None
        assert (read.summary or "") == summary["text"]
        window = [message["content"] for message in messages]
        assert window.pop() == question
        missing = [said for said in self._said[int(summary["through"]) :] if said not in window]
        assert missing == []
        assert self.metadata.get("summary_lag") is None
        assert len(window) <= WINDOW_MESSAGES
        assert sum(len(str(message)) for message in window) <= BUDGET


@hypothesis_settings(max_examples=12, deadline=None)
@given(st.booleans(), st.lists(st.tuples(SIZES, SIZES), min_size=2, max_size=9))
def test_every_message_is_in_the_summary_or_in_the_window(with_keys: bool, sizes: list[tuple[int, int]]) -> None:
    """For turns of any sizes, with keys and without, the model is given each earlier message or its summary."""

    async def run() -> None:
        chat = Chat(with_keys)
        for asked, replied in sizes:
            await chat.take_turn(asked, replied)

    asyncio.run(run())


@pytest.mark.parametrize("with_keys", [False, True])
async def test_first_turn_longer_than_the_window_is_summarized(with_keys: bool) -> None:
    """A new session's first turn that does not fit into the window is summarized before the second."""
    chat = Chat(with_keys)
    await chat.take_turn(700, 700)
    assert chat._summary()["through"] == 2
    await chat.take_turn(1, 1)


async def test_turn_after_an_unread_history_is_checked_too(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """If the history could not be read but the turn was saved, a summary that is due is still written."""
    memory.remember("s1", "alice", *[("user", "a"), ("assistant", "b")] * 8)
    memory.respond_next("recall", httpx.Response(503, json={"code": "store_unavailable", "detail": "later"}))
    body = {"user_id": "alice", "text": "Hello", "metadata": {"session_id": "s1"}}
    assert (await client.post("/chat/", json=body)).json()["metadata"]["history"] == "saved"
    await memory.until(lambda: memory.sessions["s1"].summary is not None)
