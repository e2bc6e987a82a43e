"""Replies that do not wait for the save, and the URL that is told what became of it."""

import asyncio
import json
import logging

import httpx
import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from standardwebhooks import Webhook

from main import create_app
from settings import Settings
from tests.scripted_memory import ScriptedMemory, refusal, sidecar_failure
from tests.scripted_model import ScriptedModel

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "https://hooks.test/turns"
HELLO = {"user_id": "alice", "text": "Hello", "metadata": {"session_id": "s1"}, "callback_url": URL}


class Receiver:
    """Who the callbacks go to: answers with these statuses in turn, then 204."""

    def __init__(self) -> None:
        self.got: list[httpx.Request] = []
        self.statuses: list[int] = []
        self._changed = asyncio.Condition()

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """Take one callback."""
        self.got.append(request)
        async with self._changed:
            self._changed.notify_all()
        status = self.statuses.pop(0) if self.statuses else 204
        return httpx.Response(status, headers={"location": "https://elsewhere.test/"} if status == 302 else {})

    async def until_told(self, times: int = 1) -> httpx.Request:
        """Wait for so many callbacks; the last one."""
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(lambda: len(self.got) >= times)
        return self.got[-1]


@pytest.fixture
def receiver() -> Receiver:
    """The receiver."""
    return Receiver()


@pytest.fixture
def settings() -> Settings:
    """One host is allowed."""
    return Settings(
        llm_base_url="http://model.test/v1",
        llm_model="scripted",
        callback_allowed_hosts=("hooks.test", "local.test:9000"),
        callback_secret=SecretStr(SECRET),
        callback_save_timeout_seconds=0.05,
        callback_attempts=3,
    )


@pytest.fixture
def app(settings: Settings, memory: ScriptedMemory, model: ScriptedModel, receiver: Receiver) -> FastAPI:
    """The service, with the receiver for its callbacks."""
    return create_app(
        settings,
        memory_transport=httpx.MockTransport(memory.handle),
        model_transport=httpx2.MockTransport(model.handle),
        callback_transport=httpx.MockTransport(receiver.handle),
    )


async def test_reply_does_not_wait_for_the_save(
    client: httpx.AsyncClient, memory: ScriptedMemory, receiver: Receiver, settings: Settings
) -> None:
    """The reply comes while the save is pending; saved, the URL is told so, signed."""
    go_on = asyncio.Event()

    async def slowly() -> httpx.Response:
        await go_on.wait()
        return await memory.handle(memory.calls("append")[-1])

    settings.callback_save_timeout_seconds = 5
    memory.respond_next("append", slowly)
    reply = (await client.post("/chat/", json=HELLO)).json()
    assert (reply["reply"], reply["metadata"]["history"]) == ("Good.", "pending")
    assert receiver.got == []
    go_on.set()
    told = await receiver.until_told()
    event = Webhook(SECRET).verify(told.content, dict(told.headers))
    assert (event["type"], str(told.url)) == ("turn.saved", URL)
    assert event["data"] == {**reply, "metadata": {**reply["metadata"], "history": "saved"}}
    assert told.headers["webhook-id"] == reply["metadata"]["turn_id"]


async def test_failed_save_is_told_and_logged(
    client: httpx.AsyncClient, memory: ScriptedMemory, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """A save that failed for its whole time is told with the code, and logged by its ids."""
    caplog.set_level(logging.INFO)
    memory.respond_always(sidecar_failure(), "append")
    reply = (await client.post("/chat/", json=HELLO)).json()
    event = json.loads((await receiver.until_told()).content)
    assert (event["type"], event["data"]["metadata"]["history"]) == ("turn.not_saved", "not_saved")
    assert event["data"]["metadata"]["code"] == "memory_unavailable"
    line = next(record.getMessage() for record in caplog.records if "late save" in record.getMessage())
    assert f"session=s1 turn_id={reply['metadata']['turn_id']}" in line


async def test_refused_save_is_told(client: httpx.AsyncClient, memory: ScriptedMemory, receiver: Receiver) -> None:
    """A save that memory refuses is told at once."""
    memory.respond_always(refusal(410, "session_deleted"), "append")
    await client.post("/chat/", json=HELLO)
    event = json.loads((await receiver.until_told()).content)
    assert event["data"]["metadata"]["code"] == "session_deleted"


async def test_callback_is_repeated_until_it_is_taken(client: httpx.AsyncClient, receiver: Receiver) -> None:
    """A receiver that fails is told again, the same event under the same id, newly signed."""
    receiver.statuses = [500, 302]
    await client.post("/chat/", json=HELLO)
    await receiver.until_told(3)
    assert len({request.headers["webhook-id"] for request in receiver.got}) == 1
    assert len({request.content for request in receiver.got}) == 1
    assert {request.url.host for request in receiver.got} == {"hooks.test"}


async def test_callback_is_given_up(
    client: httpx.AsyncClient, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """After its attempts the callback is given up, which is logged."""
    receiver.statuses = [500] * 9
    await client.post("/chat/", json=HELLO)
    await receiver.until_told(3)
    await asyncio.sleep(0)
    assert len(receiver.got) == 3
    assert "callback not delivered" in caplog.text


async def test_gone_receiver_is_left_alone(client: httpx.AsyncClient, receiver: Receiver) -> None:
    """410 means that the receiver wants no more."""
    receiver.statuses = [410]
    await client.post("/chat/", json=HELLO)
    await receiver.until_told()
    await asyncio.sleep(0)
    assert len(receiver.got) == 1


async def test_repeated_turn_is_told_again(client: httpx.AsyncClient, receiver: Receiver) -> None:
    """A repeated key's reply is saved already; its URL is told so under the same id."""
    for _ in range(2):
        await client.post("/chat/", json=HELLO, headers={"Idempotency-Key": "k1"})
        await receiver.until_told(len(receiver.got) or 1)
    await receiver.until_told(2)
    assert len({request.headers["webhook-id"] for request in receiver.got}) == 1


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.test/",
        "https://hooks.test:8443/",
        "https://hooks.test.evil.test/",
        "https://hooks.test@evil.test/",
        "https://user:pass@hooks.test/",
        "http://local.test/",
    ],
)
async def test_other_hosts_are_refused(client: httpx.AsyncClient, model: ScriptedModel, url: str) -> None:
    """A host that is not allowed is refused before anything is done, and the answer says how to allow it."""
    response = await client.post("/chat/", json={**HELLO, "callback_url": url})
    assert (response.status_code, response.json()["code"]) == (422, "callback_not_allowed")
    assert "CALLBACK_ALLOWED_HOSTS" in response.json()["detail"]
    assert model.asked == []


@pytest.mark.parametrize("url", ["ftp://hooks.test/", "hooks", 5])
async def test_what_is_no_url_is_refused(client: httpx.AsyncClient, url: object) -> None:
    """A callback goes to an http(s) URL."""
    response = await client.post("/chat/", json={**HELLO, "callback_url": url})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")


async def test_allowed_port_is_taken(client: httpx.AsyncClient, receiver: Receiver) -> None:
    """`host:port` in the settings allows that port."""
    await client.post("/chat/", json={**HELLO, "callback_url": "http://local.test:9000/x"})
    assert (await receiver.until_told()).url == "http://local.test:9000/x"


async def test_none_is_allowed_by_default(memory: ScriptedMemory, model: ScriptedModel) -> None:
    """Without settings no callback is taken."""
    app = create_app(
        Settings(llm_base_url="http://model.test/v1", llm_model="scripted"),
        memory_transport=httpx.MockTransport(memory.handle),
        model_transport=httpx2.MockTransport(model.handle),
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://chat.test") as client:
        assert (await client.post("/chat/", json=HELLO)).status_code == 422


async def test_stream_may_have_a_callback_too(client: httpx.AsyncClient, receiver: Receiver) -> None:
    """On the stream `done` does not wait for the save either."""
    response = await client.post("/chat/stream", json=HELLO)
    assert '"history":"pending"' in response.text
    assert json.loads((await receiver.until_told()).content)["type"] == "turn.saved"
