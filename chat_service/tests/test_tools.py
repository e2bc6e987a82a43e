"""The tools of the chat agent: which ones the model is offered, what they do, and what they cannot do."""

import json
import re

import httpx
import pytest

from agent.fact_match import matching
from agent.user_memory import MAX_CHANGES
from memory_models import Fact
from tests.scripted_memory import ScriptedMemory, refusal, sidecar_failure
from tests.scripted_model import Json, ScriptedModel, completion, text, tool_call

HELLO = {"user_id": "alice", "text": "Hello", "metadata": {"session_id": "s"}}


async def result_of(client: httpx.AsyncClient, model: ScriptedModel, name: str, arguments: dict[str, str]) -> str:
    """What the model gets if it calls a tool in a turn."""
    already = len(model.requests)
    model.respond_with(tool_call(json.dumps(arguments), name), text("Done."))
    assert (await client.post("/chat/", json=HELLO)).status_code == 200
    message = model.requests[already + 1].messages[-1]
    assert message["role"] == "tool"
    return str(message["content"])


async def test_offered_tools(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """The model is offered exactly these tools, and none of them takes a user."""
    await client.post("/chat/", json=HELLO)
    tools = model.requests[0].body["tools"]
    assert isinstance(tools, list)
    names = ["get_current_time", "remember", "forget", "change_profile"]
    assert [tool["function"]["name"] for tool in tools] == names
    assert "user_id" not in json.dumps(tools)


async def test_current_time(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """The time tool gives the model the date and the time in UTC."""
    result = await result_of(client, model, "get_current_time", {})
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", result)


async def test_fact_is_remembered_with_its_session(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """A fact is stored for the turn's user, once, also if the model or the turn repeats it."""
    assert await result_of(client, model, "remember", {"fact": "Likes\n tea"}) == "Remembered: Likes tea"
    assert await result_of(client, model, "remember", {"fact": "likes TEA"}) == "Remembered before: Likes tea"
    (fact,) = memory.facts["alice"]
    assert (fact["text"], fact["session_id"]) == ("Likes tea", "s")


async def test_fact_is_forgotten_by_its_words(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """A text that means one fact removes it. One that means several or none removes nothing, and says so."""
    for number, known in enumerate(["Likes tea", "Likes cats", "Has two cats"]):
        memory.facts["alice"].append({"fact_id": f"f{number}", "text": known, "created_at": "then", "session_id": None})
    several = await result_of(client, model, "forget", {"fact": "cats"})
    assert several.startswith("Not saved: several facts match.")
    assert await result_of(client, model, "forget", {"fact": "likes cats."}) == "Forgotten: Likes cats"
    assert await result_of(client, model, "forget", {"fact": "tea"}) == "Forgotten: Likes tea"
    assert (await result_of(client, model, "forget", {"fact": "tea"})).startswith("Not saved: no such fact")
    assert (await result_of(client, model, "forget", {"fact": "?"})).startswith("Not saved: no such fact")
    assert [fact["text"] for fact in memory.facts["alice"]] == ["Has two cats"]


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("Likes C++", ["Likes C++"]),
        ("Likes C.", ["Likes C"]),
        ("c++!", ["Likes C++"]),
        ("Likes C#", []),
        ("born 2.1.1990", []),
        ('"born 1.2.1990"', ["Born 1.2.1990."]),
        ("(tea)", ["Drinks “tea”, black"]),
        ("🚲", ["🚲"]),
        ("?!", []),
        ("...", ["..."]),
    ],
)
def test_signs_are_part_of_a_word(asked: str, meant: list[str]) -> None:
    """C, C++ and C# are three words. Only punctuation at the ends of a word does not count."""
    known = ["Likes C", "Likes C++", "Born 1.2.1990.", "Drinks “tea”, black", "🚲", "..."]
    facts = [Fact(fact_id=text, text=text) for text in known]
    assert [fact.text for fact in matching(facts, asked)] == meant


@pytest.mark.parametrize(
    ("fact", "asked"),
    [
        ("¡Le gusta el té!", "le gusta el té"),
        ("お茶が好きです。", "お茶が好きです"),
        ("يحب الشاي؟", "الشاي"),
        ("Alice's dog is Rex", "alice\u2019s dog"),
        ("Drinks tea/coffee", "tea"),
        ("Lives in Berlin—since 2019", "lives in Berlin"),
    ],
)
def test_fact_is_found_without_its_punctuation(fact: str, asked: str) -> None:
    """Punctuation of any script does not count, and words may be joined by a slash or a dash."""
    assert matching([Fact(fact_id="f", text=fact), Fact(fact_id="g", text="Other")], asked)


def test_order_within_a_date_counts() -> None:
    """A date with slashes is one word."""
    assert matching([Fact(fact_id="f", text="Born 1/2/1990")], "born 2/1/1990") == []


async def test_profile_is_changed(client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel) -> None:
    """One field is changed, within the length that the model is given of it."""
    result = await result_of(client, model, "change_profile", {"field": "goal", "value": "learn Dapr"})
    assert result == "Changed: goal is now learn Dapr"
    assert memory.profiles["alice"] == {"name": "alice", "preferred_style": "casual", "goal": "learn Dapr"}
    long = await result_of(client, model, "change_profile", {"field": "name", "value": "x" * 101})
    assert long.startswith("Not saved: ")
    await result_of(client, model, "change_profile", {"field": "facts", "value": "x"})
    assert set(memory.profiles["alice"]) == {"name", "preferred_style", "goal"}


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (sidecar_failure(), "the memory does not work now"),
        (refusal(409, "too_many_facts"), "100 facts are stored"),
        (refusal(410, "session_deleted"), "this session was deleted"),
        (httpx.ReadError("lost"), "the memory does not work now"),
    ],
)
async def test_tool_that_could_not_save_says_so(
    client: httpx.AsyncClient,
    memory: ScriptedMemory,
    model: ScriptedModel,
    response: httpx.Response | Exception,
    reason: str,
) -> None:
    """The model learns that nothing was saved, and why. Its instructions ask it to tell the user."""
    memory.respond_next("remember", response)
    result = await result_of(client, model, "remember", {"fact": "Likes tea"})
    assert result.startswith(f"Not saved: {reason}")
    assert "If a tool did not save, tell the user." in str(model.requests[0].messages[0]["content"])


@pytest.mark.parametrize("fact", ["", " ", "x" * 301])
async def test_text_that_is_no_fact_is_not_sent(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel, fact: str
) -> None:
    """The model is told the length."""
    assert (await result_of(client, model, "remember", {"fact": fact})).startswith("Not saved: a fact has 1 to 300")
    assert memory.calls("remember") == []


async def test_changes_of_one_turn_are_bounded(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """A text that makes the model call the tools sixty times in one response gets ten changes."""
    calls: list[Json] = [
        {
            "id": f"c{number}",
            "type": "function",
            "function": {"name": "remember", "arguments": json.dumps({"fact": f"Fact {number}"})},
        }
        for number in range(60)
    ]
    model.respond_with(completion({"role": "assistant", "content": None, "tool_calls": calls}, "tool_calls"))
    await client.post("/chat/", json=HELLO)
    assert len(memory.facts["alice"]) == MAX_CHANGES
    assert "too many changes in one turn" in str(model.requests[1].messages[-1]["content"])
