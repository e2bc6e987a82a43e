"""The tools of the chat agent: which ones the model is offered, and what they return."""

import re

import httpx

from tests.scripted_model import ScriptedModel, text, tool_call

HELLO = {"user_id": "alice", "text": "Hello"}


async def test_offered_tools(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """The model is offered exactly these tools."""
    await client.post("/chat/", json=HELLO)
    tools = model.requests[0].body["tools"]
    assert isinstance(tools, list)
    assert [tool["function"]["name"] for tool in tools] == ["get_current_time"]


async def test_current_time(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """The time tool gives the model the date and the time in UTC."""
    model.respond_with(tool_call(name="get_current_time"), text("It is late."))
    await client.post("/chat/", json=HELLO)
    result = model.requests[1].messages[-1]
    assert result["role"] == "tool"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", str(result["content"]))
