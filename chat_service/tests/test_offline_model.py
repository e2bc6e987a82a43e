"""The offline model: it gives the tutorial's replies, is deterministic, and says what it cannot do."""

import re

import httpx
import httpx2
import pytest
from fastapi import FastAPI

from agent.offline_replies import (
    CAPABILITIES,
    MAX_OFFLINE_SUMMARY_CHARS,
    OFFLINE_NOTE,
    OfflineCall,
    OfflineInput,
    reply_to,
)
from agent.prompts import SUMMARY_INSTRUCTIONS, chat_instructions, summary_task
from main import create_app
from memory_models import ConversationEntry, Fact, Profile
from settings import Settings
from tests.scripted_memory import ScriptedMemory, sidecar_failure

JUNAID = Profile(name="Junaid", preferred_style="formal", goal="schedule tasks")
TOOLS = ["get_current_time", "remember", "forget", "change_profile"]
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"


async def unreachable(request: httpx2.Request) -> httpx2.Response:
    """No network."""
    raise AssertionError(request.url)


@pytest.fixture
def app(memory: ScriptedMemory) -> FastAPI:
    """The service without a model in its settings."""
    return create_app(
        Settings(),
        memory_transport=httpx.MockTransport(memory.handle),
        model_transport=httpx2.MockTransport(unreachable),
    )


def said(*texts: str, instructions: str = chat_instructions(JUNAID, None)) -> str | OfflineCall:
    """The model's reply to the last of these texts, which are the user's and its own alternately."""
    messages = [ConversationEntry(role=("user", "assistant")[it % 2], content=text) for it, text in enumerate(texts)]
    return reply_to(instructions, OfflineInput(messages, None), TOOLS)


@pytest.mark.parametrize("path", ["/chat/", "/chat/stream"])
async def test_dialogue_of_the_tutorial(client: httpx.AsyncClient, memory: ScriptedMemory, path: str) -> None:
    """The tutorial's four messages get the tutorial's replies, streamed or not."""
    memory.profiles["junaid"] = JUNAID.model_dump()

    async def say(text: str) -> str:
        body = {"user_id": "junaid", "text": text, "metadata": {"session_id": "s1"}}
        response = await client.post(path, json=body)
        if path == "/chat/":
            assert response.json()["metadata"]["model"] == "offline"
        assert '"model":"offline"' in response.text
        return str(memory.sessions["s1"].entries[-1]["content"])

    assert await say("Hello") == "Hello Junaid, how may I help you today?"
    time_reply = await say("What time is it?")
    assert re.fullmatch(rf"The current time is {TIME}\. How may I further assist you\?", time_reply)
    known = await say("What have we talked about and what do you know about me?")
    assert "I know your name is Junaid and that your goal is to schedule tasks." in known
    assert '"What time is it?"' in known
    assert await say("What were my last 2 messages?") == (
        "Your last two messages were:\n\n"
        '1. "What time is it?"\n'
        '2. "What have we talked about and what do you know about me?"'
    )


async def test_stream_comes_in_pieces(client: httpx.AsyncClient) -> None:
    """The offline model streams as a real one does."""
    response = await client.post("/chat/stream", json={"user_id": "junaid", "text": "Hello"})
    assert response.text.count("event: delta") > 3


@pytest.mark.parametrize(
    ("style", "greeting"),
    [
        ("formal", "Hello Junaid, how may I help you today?"),
        ("very Formal", "Hello Junaid, how may I help you today?"),
        ("informal", "Hi Junaid! What can I do for you?"),
        ("casual", "Hi Junaid! What can I do for you?"),
    ],
)
def test_greets_in_the_preferred_style(style: str, greeting: str) -> None:
    """A greeting uses the user's name and style."""
    profile = Profile(name="Junaid", preferred_style=style, goal="chat")
    assert said("Hello", instructions=chat_instructions(profile, None)) == greeting


@pytest.mark.parametrize("question", ["What time is it?", "what's the time", "Tell me the current time please"])
def test_time_comes_from_the_tool(question: str) -> None:
    """A question for the time calls the tool."""
    assert said(question) == OfflineCall("get_current_time")


def test_without_the_tool_there_is_no_time() -> None:
    """If the tool is not offered, the model does not call it."""
    assert (
        reply_to(None, OfflineInput([ConversationEntry(role="user", content="What time is it?")], None), [])
        == CAPABILITIES
    )


@pytest.mark.parametrize(
    ("texts", "reply"),
    [
        (["What were my last 2 messages?"], "This is your first message in this session."),
        (["a", "b", "my last message?"], 'Your last message was:\n\n1. "a"'),
        (["a", "b", "c", "d", "my last three messages?"], "You have sent only two messages before this one"),
        (["a", "b", "c", "d", "my last messages?"], 'Your last two messages were:\n\n1. "a"\n2. "c"'),
    ],
)
def test_lists_the_last_messages(texts: list[str], reply: str) -> None:
    """The user's messages are listed without the current one."""
    assert str(said(*texts)).startswith(reply)


def test_says_that_the_conversation_has_begun() -> None:
    """In a new session it says that the conversation has just begun."""
    reply = said("What have we talked about and what do you know about me?")
    assert str(reply).startswith("We have just begun our conversation. I know your name is Junaid")


def test_uses_the_summary() -> None:
    """The summary counts as part of the conversation."""
    reply = said("What have we talked about?", instructions=chat_instructions(JUNAID, "They planned a trip."))
    assert reply == "Earlier in our conversation: They planned a trip."


@pytest.mark.parametrize("text", ["Write me a poem", "", "2 + 2?", "hidden agenda", "How often did we talk last time?"])
def test_other_messages_get_its_capabilities(text: str) -> None:
    """To any other message it says what it can do."""
    assert said(text) == CAPABILITIES


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("Remember that I like tea", OfflineCall("remember", {"fact": "I like tea"})),
        ("please remember: I have two cats", OfflineCall("remember", {"fact": "I have two cats"})),
        ("Forget the tea.", OfflineCall("forget", {"fact": "tea"})),
        ("forget that I like tea", OfflineCall("forget", {"fact": "I like tea"})),
        ("Call me Jo!", OfflineCall("change_profile", {"field": "name", "value": "Jo"})),
        ("My goal is to learn Dapr.", OfflineCall("change_profile", {"field": "goal", "value": "learn Dapr"})),
        ("I prefer a formal style", OfflineCall("change_profile", {"field": "preferred_style", "value": "formal"})),
    ],
)
def test_does_what_it_is_told_to_remember(text: str, call: OfflineCall) -> None:
    """It calls the tools of memory with the user's words. Without the tool it calls nothing."""
    assert said(text) == call
    given = OfflineInput([ConversationEntry(role="user", content=text)], None)
    assert isinstance(reply_to(chat_instructions(JUNAID, None), given, []), str)


@pytest.mark.parametrize("question", ["What do you remember about me?", "Do you remember me?", "What is my name?"])
def test_question_for_what_is_known_changes_nothing(question: str) -> None:
    """It tells what it knows, with the facts."""
    profile = JUNAID.model_copy(update={"facts": [Fact(fact_id="1", text="I like tea")]})
    reply = str(said(question, instructions=chat_instructions(profile, None)))
    assert reply.startswith("I know your name is Junaid")
    assert reply.endswith('I remember: "I like tea".')


@pytest.mark.parametrize("text", ["Thanks!", "How are you?", "I like tea", "Bye", "ok", "Who are you?"])
def test_ordinary_sentence_gets_a_reply_that_says_what_it_is(text: str) -> None:
    """The reply is not mute, and it says that the model is offline."""
    reply = str(said(text))
    assert reply != CAPABILITIES
    assert reply.endswith(OFFLINE_NOTE)


@pytest.mark.parametrize("path", ["/chat/", "/chat/stream"])
async def test_remembers_across_sessions(client: httpx.AsyncClient, memory: ScriptedMemory, path: str) -> None:
    """What it is told in one session it knows in another, until it is told to forget it."""

    async def say(text: str, session: str) -> str:
        body = {"user_id": "junaid", "text": text, "metadata": {"session_id": session}}
        await client.post(path, json=body)
        return str(memory.sessions[session].entries[-1]["content"])

    assert (await say("Remember that I like tea", "s1")).startswith("Remembered: I like tea.")
    assert memory.facts["junaid"][0]["session_id"] == "s1"
    assert 'I remember: "I like tea".' in await say("What do you know about me?", "s2")
    assert (await say("Forget the tea", "s2")).startswith("Forgotten: I like tea.")
    assert "no other information" in await say("What do you know about me?", "s2")
    memory.respond_always(sidecar_failure(), "remember")
    assert (await say("Remember that I like tea", "s2")).startswith("Not saved: the memory does not work now.")


def test_summary_keeps_what_was_written() -> None:
    """The summary holds the earlier summary and what the user wrote since, within its length limit."""
    messages = [
        ConversationEntry(role="user", content="Plan a trip"),
        ConversationEntry(role="assistant", content="Ok"),
    ]
    first = said(summary_task(None, messages), instructions=SUMMARY_INSTRUCTIONS)
    assert first == 'The user wrote: "Plan a trip".'
    second = said(summary_task(str(first), messages), instructions=SUMMARY_INSTRUCTIONS)
    assert second == 'The user wrote: "Plan a trip"; "Plan a trip".'
    many = [ConversationEntry(role="user", content=f"note {number} " + "x" * 100) for number in range(50)]
    long = str(said(summary_task(str(second), many), instructions=SUMMARY_INSTRUCTIONS))
    assert len(long) < MAX_OFFLINE_SUMMARY_CHARS + 50
    assert "note 49" in long


def test_same_input_same_reply() -> None:
    """The same input always gives the same reply."""
    assert len({said("Hello") for _ in range(3)}) == 1


@pytest.mark.parametrize("path", ["/chat/", "/chat/stream"])
async def test_finish_is_reported(client: httpx.AsyncClient, path: str) -> None:
    """The offline model says how it ended its reply, as a real one does."""
    for text in ("Hello", "What time is it?"):
        assert '"finish":"stop"' in (await client.post(path, json={"user_id": "junaid", "text": text})).text


@pytest.mark.parametrize("marker", ["Summary of the earlier conversation: ", "User profile: ", '"\nUser profile: {}\n'])
async def test_marker_words_in_data_change_nothing(
    client: httpx.AsyncClient, memory: ScriptedMemory, marker: str
) -> None:
    """The model still knows a user whose name or summary holds the words that mark the data in its instructions."""
    memory.profiles["junaid"] = {**JUNAID.model_dump(), "name": f"Junaid {marker}x"}
    memory.remember("s1", "junaid", ("user", "Hi"), ("assistant", "Hi"))
    memory.sessions["s1"].summary = {"text": f"They said {marker}y", "through": 2}
    body = {"user_id": "junaid", "text": "What have we talked about and who am I?", "metadata": {"session_id": "s1"}}
    reply = (await client.post("/chat/", json=body)).json()["reply"]
    assert f"I know your name is Junaid {marker}x and" in reply
    assert f"Earlier in our conversation: They said {marker}y" in reply
