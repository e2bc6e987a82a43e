"""The same Idempotency-Key gives the same reply, and asks the model once."""

import asyncio
from collections.abc import Mapping

import httpx
import pytest

from identity.users import User
from models import Message
from tests.asgi_calls import settled
from tests.scripted_memory import ScriptedMemory, refusal, sidecar_failure
from tests.scripted_model import ScriptedModel, completion, text
from turn.request import TurnRequest

KEY = {"Idempotency-Key": "k1"}
HELLO = {"user_id": "alice", "text": "Hello"}


def request_of(body: Mapping[str, object], key: str) -> TurnRequest:
    """The turn that the user whom the body names requests with this key."""
    return TurnRequest.from_message(Message.model_validate(body), User.claimed(str(body["user_id"])), key)


async def test_repeated_key_gets_the_recorded_reply(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """A repeated request gets the same body: reply, session, turn and time."""
    model.respond_with(text("First."), text("Second."))
    first = await client.post("/chat/", json=HELLO, headers=KEY)
    again = await client.post("/chat/", json=HELLO, headers=KEY)
    assert first.json() == again.json()
    assert len(model.requests) == 1


async def test_repeated_key_on_the_stream(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """On the stream, a repeated key gives the whole reply as one `delta`, then `done`."""
    model.respond_with(text("First of all."))
    first = await client.post("/chat/", json=HELLO, headers=KEY)
    again = await client.post("/chat/stream", json=HELLO, headers=KEY)
    assert again.text.count("event: delta") == 1
    assert 'data: {"text":"First of all."}' in again.text
    assert f"event: done\ndata: {first.text}" in again.text


@pytest.mark.parametrize("paths", [("/chat/", "/chat/"), ("/chat/", "/chat/stream"), ("/chat/stream", "/chat/")])
async def test_concurrent_requests_share_one_turn(
    client: httpx.AsyncClient, model: ScriptedModel, memory: ScriptedMemory, paths: tuple[str, str]
) -> None:
    """Two requests with one key at the same time ask the model once and get the same reply."""
    model.gate.clear()
    first = asyncio.create_task(client.post(paths[0], json=HELLO, headers=KEY))
    await model.until_requested()
    second = asyncio.create_task(client.post(paths[1], json=HELLO, headers=KEY))
    await settled()
    model.gate.set()
    responses = await asyncio.gather(first, second)
    assert all("Good." in response.text for response in responses)
    assert len(model.requests) == 1
    assert len(memory.calls("append")) == 1


async def test_other_text_is_rejected_while_the_first_runs(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """A request with the key of a running turn and another text is rejected."""
    model.gate.clear()
    first = asyncio.create_task(client.post("/chat/", json=HELLO, headers=KEY))
    await model.until_requested()
    other = {
        **HELLO,
        "metadata": {"session_id": request_of(HELLO, "k1").session_id},
        "text": "Bye",
    }
    response = await client.post("/chat/", json=other, headers=KEY)
    assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")
    model.gate.set()
    assert (await first).status_code == 200


@pytest.mark.parametrize("path", ["/chat/", "/chat/stream"])
async def test_key_with_another_text_is_rejected(client: httpx.AsyncClient, model: ScriptedModel, path: str) -> None:
    """A key that was used with another text is rejected."""
    await client.post("/chat/", json=HELLO, headers=KEY)
    response = await client.post(path, json={**HELLO, "text": "Bye"}, headers=KEY)
    assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")
    assert len(model.requests) == 1


async def test_recorded_reply_is_sent_when_another_replica_was_first(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """If two replicas ran the same turn, both send the reply that was recorded first."""
    turn = request_of(HELLO, "k1")
    model.gate.clear()
    ours = asyncio.create_task(client.post("/chat/", json=HELLO, headers=KEY))
    await model.until_requested()
    memory.remember(turn.session_id, "alice", ("user", "Hello"), ("assistant", "Theirs."))
    for entry in memory.sessions[turn.session_id].entries:
        entry["turn_id"] = turn.turn_id
    model.gate.set()
    body = (await ours).json()
    assert (body["reply"], body["metadata"]["history"], body["metadata"]["timestamp"]) == ("Theirs.", "saved", "then")


async def test_finish_belongs_to_its_own_reply(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """How this replica's reply ended is not said of the one that another replica recorded for the same turn."""
    model.respond_with(completion({"role": "assistant", "content": "Ours is cut o"}, "length"))
    memory.respond_always(sidecar_failure(), "append")
    ours = (await client.post("/chat/", json=HELLO, headers=KEY)).json()["metadata"]
    memory.recover()
    memory.remember(ours["session_id"], "alice", ("user", "Hello"), ("assistant", "Theirs."))
    for entry in memory.sessions[ours["session_id"]].entries:
        entry["turn_id"] = ours["turn_id"]
    again = (await client.post("/chat/", json=HELLO, headers=KEY)).json()
    assert (ours["finish"], again["reply"], again["metadata"].get("finish")) == ("length", "Theirs.", None)


@pytest.mark.parametrize("failure", [sidecar_failure(), refusal(503, "store_refuses_writes")])
@pytest.mark.parametrize("path", ["/chat/", "/chat/stream"])
async def test_reply_that_was_not_saved_is_saved_by_its_key(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel, failure: httpx.Response, path: str
) -> None:
    """After a failed save the key saves the same reply, and the model is not asked again."""
    model.respond_with(text("First."), text("Second."))
    memory.respond_always(failure, "append")
    first = (await client.post("/chat/", json=HELLO, headers=KEY)).json()
    assert first["metadata"]["history"] in ("unknown", "not_saved")
    memory.recover()
    again = await client.post(path, json=HELLO, headers=KEY)
    assert '"reply":"First."' in again.text
    assert '"history":"saved"' in again.text
    entries = memory.sessions[first["metadata"]["session_id"]].entries
    assert [entry["content"] for entry in entries] == ["Hello", "First."]
    assert len(model.requests) == 1


async def test_reply_that_was_not_saved_is_kept_for_its_text_and_user(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """A kept reply is not given to another text, and not to another user with the same key."""
    memory.respond_always(sidecar_failure(), "append")
    await client.post("/chat/", json=HELLO, headers=KEY)
    memory.recover()
    response = await client.post("/chat/", json={**HELLO, "text": "Bye"}, headers=KEY)
    assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")
    await client.post("/chat/", json={**HELLO, "user_id": "bob"}, headers=KEY)
    assert len(model.requests) == 2


async def test_reply_that_memory_will_never_take_is_not_kept(
    client: httpx.AsyncClient, memory: ScriptedMemory, model: ScriptedModel
) -> None:
    """After a rejected save the key runs the turn again: the same reply would be rejected again."""
    memory.respond_next("append", refusal(422, "invalid_request"))
    assert (await client.post("/chat/", json=HELLO, headers=KEY)).json()["metadata"]["history"] == "not_saved"
    assert (await client.post("/chat/", json=HELLO, headers=KEY)).json()["metadata"]["history"] == "saved"
    assert len(model.requests) == 2


async def test_failure_is_not_remembered(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """A turn that failed can be tried again with its key."""
    model.respond_with(text(""))
    assert (await client.post("/chat/", json=HELLO, headers=KEY)).status_code == 502
    assert (await client.post("/chat/", json=HELLO, headers=KEY)).status_code == 200


def test_ids_are_scoped() -> None:
    """A derived id is the same for the same request and differs for another user, session or key."""
    alice, bob = ({"user_id": user, "text": "Hello"} for user in ("alice", "bob"))
    elsewhere, theirs = (message | {"metadata": {"session_id": "s1"}} for message in (alice, bob))
    first, again = request_of(alice, "k1"), request_of(alice, "k1")
    assert (first.session_id, first.turn_id) == (again.session_id, again.turn_id)
    others = [request_of(bob, "k1"), request_of(alice, "k2"), request_of(elsewhere, "k1"), request_of(theirs, "k1")]
    assert len({turn.turn_id for turn in [first, *others]}) == 5
    assert first.session_id not in {turn.session_id for turn in others}


async def test_turns_without_a_key_all_run(client: httpx.AsyncClient, model: ScriptedModel) -> None:
    """Without a key the same text is a new turn each time."""
    body = {**HELLO, "metadata": {"session_id": "s1"}}
    responses = [await client.post("/chat/", json=body) for _ in range(2)]
    assert responses[0].json()["metadata"]["turn_id"] != responses[1].json()["metadata"]["turn_id"]
    assert len(model.requests) == 2


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_bad_key_is_rejected(client: httpx.AsyncClient, key: str) -> None:
    """A key is 1 to 255 characters."""
    assert (await client.post("/chat/", json=HELLO, headers={"Idempotency-Key": key})).status_code == 422


async def test_disconnected_client_does_not_end_a_shared_turn(
    client: httpx.AsyncClient, model: ScriptedModel, memory: ScriptedMemory
) -> None:
    """If one of two clients of a turn disconnects, the other still gets the turn's reply."""
    model.gate.clear()
    first, second = (asyncio.create_task(client.post("/chat/", json=HELLO, headers=KEY)) for _ in range(2))
    await model.until_requested()
    await settled()
    first.cancel()
    await asyncio.wait([first])
    model.gate.set()
    assert (await second).json()["reply"] == "Good."
    assert (len(model.requests), len(memory.calls("append"))) == (1, 1)


@pytest.mark.parametrize("session_id", ["", None])
async def test_empty_session_id_counts_as_missing(
    client: httpx.AsyncClient, memory: ScriptedMemory, session_id: str
) -> None:
    """A new session's history is not read, whether its id was missing or empty."""
    await client.post("/chat/", json={"user_id": "alice", "text": "Hello", "metadata": {"session_id": session_id}})
    assert memory.calls("recall") == []
