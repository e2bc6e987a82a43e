"""What is remembered of a user, through the chat service and real processes: facts, sessions, export, erase."""

import asyncio
import json

from harness.system import System
from tests.calls import client


def say(user: str, session: str, text: str) -> dict[str, object]:
    """The body of a message in a session."""
    return {"user_id": user, "text": text, "metadata": {"session_id": session}}


async def test_a_fact_is_known_in_another_session_until_it_is_forgotten(system: System) -> None:
    """The agent is told a fact in one session, by many turns at once over two replicas. It is there once."""
    user, first, second = (system.new_id(name) for name in ("user", "first", "second"))
    chat = system.chats[0].url
    async with client() as http:
        turns = [http.post(f"{chat}/chat/", json=say(user, first, "Remember that I like tea")) for _ in range(8)]
        for reply in await asyncio.gather(*turns):
            assert reply.json()["reply"].startswith("Remembered")
        (fact,) = (await http.get(f"{chat}/users/{user}/facts")).json()["facts"]
        assert (fact["text"], fact["session_id"]) == ("I like tea", first)
        known = await http.post(f"{chat}/chat/", json=say(user, second, "What do you know about me?"))
        assert '"I like tea"' in known.json()["reply"]
        assert (await http.delete(f"{chat}/users/{user}/facts/{fact['fact_id']}")).status_code == 204
        known = await http.post(f"{chat}/chat/", json=say(user, second, "What do you know about me?"))
        assert "no other information" in known.json()["reply"]


async def test_everything_of_a_user_is_listed_read_exported_and_erased(system: System) -> None:
    """Each route of the chat service reaches the store through both sidecars and back."""
    user, sessions = system.new_id("user"), [system.new_id("session") for _ in range(3)]
    url = f"{system.chats[0].url}/users/{user}"
    async with client() as http:
        for session in sessions:
            reply = await http.post(f"{system.chats[0].url}/chat/", json=say(user, session, f"Hello from {session}"))
            assert reply.json()["metadata"]["history"] == "saved"
        assert (await http.post(f"{url}/facts", json={"text": "Likes tea"})).status_code == 201
        assert (await http.post(f"{url}/facts", json={"text": "likes  TEA"})).status_code == 200
        assert (await http.patch(f"{url}/profile", json={"goal": "learn"})).json()["goal"] == "learn"
        page = (await http.get(f"{url}/sessions?limit=2")).json()
        rest = (await http.get(f"{url}/sessions?limit=2&before={page['before']}")).json()
        listed = [*page["sessions"], *rest["sessions"]]
        assert [session["session_id"] for session in listed] == sessions[::-1]
        assert listed[0]["title"] == f"Hello from {sessions[-1]}"
        messages = f"{system.chats[0].url}/sessions/{sessions[0]}/messages?user_id={user}"
        assert [it["role"] for it in (await http.get(messages)).json()["messages"]] == ["user", "assistant"]
        stranger = await http.get(messages.replace(user, "stranger"))
        assert (stranger.status_code, stranger.json()["code"]) == (403, "not_owner")
        async with http.stream("GET", f"{url}/export") as response:
            assert response.headers["content-disposition"].startswith("attachment")
            export = json.loads(await response.aread())
        assert [fact["text"] for fact in export["facts"]] == ["Likes tea"]
        assert sorted(it["session_id"] for it in export["conversations"]) == sorted(sessions)
        assert (await http.delete(f"{system.chats[0].url}/sessions/{sessions[0]}?user_id={user}")).status_code == 204
        gone = await http.get(messages)
        assert (gone.status_code, gone.json()["code"]) == (410, "session_deleted")
        for _ in range(2):
            assert (await http.delete(url)).status_code == 204
        assert (await http.get(f"{url}/facts")).json() == {"facts": []}
        assert (await http.get(f"{url}/sessions")).json() == {"sessions": [], "before": None}
