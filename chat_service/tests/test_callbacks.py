"""Replies that do not wait for the save, and the notification of the callback URL."""

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
from tests.asgi_calls import settled
from tests.scripted_memory import ScriptedMemory, refusal, sidecar_failure
from tests.scripted_model import ScriptedModel, text

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "https://hooks.test/turns"
HELLO = {"user_id": "alice", "text": "Hello", "metadata": {"session_id": "s1"}, "callback_url": URL}


class Receiver:
    """The receiver of the callbacks: it responds with these statuses in order, then with 204."""

    def __init__(self) -> None:
        self.got: list[httpx.Request] = []
        self.statuses: list[int] = []
        self.hanging: str | None = None
        """A host that does not respond until `go_on` is set."""
        self.go_on = asyncio.Event()
        self._changed = asyncio.Condition()

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """Record one callback."""
        self.got.append(request)
        async with self._changed:
            self._changed.notify_all()
        if request.url.host == self.hanging:
            await self.go_on.wait()
        status = self.statuses.pop(0) if self.statuses else 204
        location = {"location": "https://elsewhere.test/"} if status == 302 else {}
        return httpx.Response(status, headers={"set-cookie": "c=1; Path=/", **location})

    async def until_notified(self, times: int = 1) -> httpx.Request:
        """Wait for this many callbacks and return the last one."""
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
    """The service with the receiver for its callbacks."""
    return create_app(
        settings,
        memory_transport=httpx.MockTransport(memory.handle),
        model_transport=httpx2.MockTransport(model.handle),
        callback_transport=httpx.MockTransport(receiver.handle),
    )


async def test_reply_does_not_wait_for_the_save(
    client: httpx.AsyncClient, memory: ScriptedMemory, receiver: Receiver, settings: Settings
) -> None:
    """The reply is sent while the save is pending. After the save, the URL gets a signed notification."""
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
    callback = await receiver.until_notified()
    event = Webhook(SECRET).verify(callback.content, dict(callback.headers))
    assert (event["type"], str(callback.url)) == ("turn.saved", URL)
    assert event["data"] == {**reply, "metadata": {**reply["metadata"], "history": "saved"}}
    assert callback.headers["webhook-id"] == f"{reply['metadata']['turn_id']}.turn.saved"


async def test_late_save_keeps_no_turn_out(
    settings: Settings, memory: ScriptedMemory, model: ScriptedModel, receiver: Receiver
) -> None:
    """While memory does not save, a turn that has its reply does not count as running."""
    settings.max_running_turns, settings.callback_save_timeout_seconds = 1, 5
    app = create_app(
        settings,
        memory_transport=httpx.MockTransport(memory.handle),
        model_transport=httpx2.MockTransport(model.handle),
        callback_transport=httpx.MockTransport(receiver.handle),
    )
    held = memory.hold_next("append", refusal(410, "session_deleted"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://chat.test") as client:
        assert (await client.post("/chat/", json=HELLO)).json()["metadata"]["history"] == "pending"
        await held.asked.wait()
        assert (await client.post("/chat/", json=HELLO)).status_code == 200
    held.let.set()
    await receiver.until_notified(2)


async def test_failed_save_is_reported_and_logged(
    client: httpx.AsyncClient, memory: ScriptedMemory, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """A save that fails until its time limit is reported with its code, and logged with its ids."""
    caplog.set_level(logging.INFO)
    memory.respond_always(sidecar_failure(), "append")
    reply = (await client.post("/chat/", json=HELLO)).json()
    event = json.loads((await receiver.until_notified()).content)
    assert (event["type"], event["data"]["metadata"]["history"]) == ("turn.unknown", "unknown")
    assert event["data"]["metadata"]["code"] == "memory_unavailable"
    line = next(record.getMessage() for record in caplog.records if "late save" in record.getMessage())
    assert f"session=s1 turn_id={reply['metadata']['turn_id']}" in line


async def test_rejected_save_is_reported(client: httpx.AsyncClient, memory: ScriptedMemory, receiver: Receiver) -> None:
    """A save that memory rejects is reported at once."""
    memory.respond_always(refusal(410, "session_deleted"), "append")
    await client.post("/chat/", json=HELLO)
    event = json.loads((await receiver.until_notified()).content)
    assert (event["type"], event["data"]["metadata"]["code"]) == ("turn.not_saved", "session_deleted")


async def test_callback_is_retried_until_it_succeeds(client: httpx.AsyncClient, receiver: Receiver) -> None:
    """A callback that fails is sent again: the same event with the same id and a new signature."""
    receiver.statuses = [500, 302]
    await client.post("/chat/", json=HELLO)
    await receiver.until_notified(3)
    assert len({request.headers["webhook-id"] for request in receiver.got}) == 1
    assert len({request.content for request in receiver.got}) == 1
    assert {request.url.host for request in receiver.got} == {"hooks.test"}
    assert not any("cookie" in request.headers for request in receiver.got)


async def test_callback_is_given_up(
    client: httpx.AsyncClient, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """After its last attempt a callback is given up and logged."""
    receiver.statuses = [500] * 9
    await client.post("/chat/", json=HELLO)
    await receiver.until_notified(3)
    await asyncio.sleep(0)
    assert len(receiver.got) == 3
    assert "callback not delivered" in caplog.text


async def test_gone_receiver_gets_no_retry(client: httpx.AsyncClient, receiver: Receiver) -> None:
    """A receiver that responds 410 gets no further attempts."""
    receiver.statuses = [410]
    await client.post("/chat/", json=HELLO)
    await receiver.until_notified()
    await asyncio.sleep(0)
    assert len(receiver.got) == 1


async def test_repeated_turn_is_notified_again(client: httpx.AsyncClient, receiver: Receiver) -> None:
    """A repeated request, whose turn is already saved, is notified again with the same id."""
    for _ in range(2):
        await client.post("/chat/", json=HELLO, headers={"Idempotency-Key": "k1"})
        await receiver.until_notified(len(receiver.got) or 1)
    await receiver.until_notified(2)
    assert len({request.headers["webhook-id"] for request in receiver.got}) == 1


async def test_another_outcome_is_no_repetition(
    client: httpx.AsyncClient, memory: ScriptedMemory, receiver: Receiver
) -> None:
    """A receiver that drops repetitions by their id learns that a turn of unknown outcome was saved by a repeat."""
    memory.respond_always(sidecar_failure(), "append")
    await client.post("/chat/", json=HELLO, headers={"Idempotency-Key": "k1"})
    first = await receiver.until_notified()
    await settled()
    memory.recover()
    await client.post("/chat/", json=HELLO, headers={"Idempotency-Key": "k1"})
    second = await receiver.until_notified(2)
    assert [json.loads(it.content)["type"] for it in (first, second)] == ["turn.unknown", "turn.saved"]
    assert first.headers["webhook-id"] != second.headers["webhook-id"]


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
async def test_other_hosts_are_rejected(client: httpx.AsyncClient, model: ScriptedModel, url: str) -> None:
    """A host that is not allowed is rejected before the model is asked; the error says how to allow it."""
    response = await client.post("/chat/", json={**HELLO, "callback_url": url})
    assert (response.status_code, response.json()["code"]) == (422, "callback_not_allowed")
    assert "CALLBACK_ALLOWED_HOSTS" in response.json()["detail"]
    assert model.requests == []


@pytest.mark.parametrize("url", ["https://😀.test/", "https://bücher.test/", "https://xn--e28h.test/"])
async def test_host_beyond_ascii_that_is_not_allowed_is_rejected(client: httpx.AsyncClient, url: str) -> None:
    """A host in Unicode or in punycode that is not allowed is rejected like any other."""
    response = await client.post("/chat/", json={**HELLO, "callback_url": url})
    assert (response.status_code, response.json()["code"]) == (422, "callback_not_allowed")


@pytest.mark.parametrize("allowed", ["bücher.test", "BÜCHER.test", "xn--bcher-kva.test", "😀.test", "xn--e28h.test"])
async def test_host_beyond_ascii_is_allowed_in_either_form(
    memory: ScriptedMemory, model: ScriptedModel, receiver: Receiver, allowed: str
) -> None:
    """A host is the same host in Unicode and in punycode, in the settings and in a request."""
    settings = Settings(
        llm_base_url="http://model.test/v1",
        llm_model="scripted",
        callback_allowed_hosts=(allowed,),
        callback_secret=SecretStr(SECRET),
    )
    app = create_app(
        settings,
        memory_transport=httpx.MockTransport(memory.handle),
        model_transport=httpx2.MockTransport(model.handle),
        callback_transport=httpx.MockTransport(receiver.handle),
    )
    forms = (
        ("😀.test", "xn--e28h.test") if "28h" in allowed or "😀" in allowed else ("bücher.test", "xn--bcher-kva.test")
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://chat.test") as client:
        for number, host in enumerate(forms, start=1):
            body = {**HELLO, "callback_url": f"https://{host}/turns"}
            assert (await client.post("/chat/", json=body)).status_code == 200
            assert (await receiver.until_notified(number)).url.raw_host == forms[1].encode()


@pytest.mark.parametrize("url", ["ftp://hooks.test/", "hooks", 5])
async def test_other_urls_are_rejected(client: httpx.AsyncClient, url: object) -> None:
    """A callback URL that is not an http(s) URL is rejected."""
    response = await client.post("/chat/", json={**HELLO, "callback_url": url})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")


async def test_allowed_port_is_accepted(client: httpx.AsyncClient, receiver: Receiver) -> None:
    """A `host:port` in the settings allows that port."""
    await client.post("/chat/", json={**HELLO, "callback_url": "http://local.test:9000/x"})
    assert (await receiver.until_notified()).url == "http://local.test:9000/x"


async def test_none_is_allowed_by_default(memory: ScriptedMemory, model: ScriptedModel) -> None:
    """Without the settings every callback URL is rejected."""
    app = create_app(
        Settings(llm_base_url="http://model.test/v1", llm_model="scripted"),
        memory_transport=httpx.MockTransport(memory.handle),
        model_transport=httpx2.MockTransport(model.handle),
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://chat.test") as client:
        assert (await client.post("/chat/", json=HELLO)).status_code == 422


async def test_stream_may_have_a_callback_too(client: httpx.AsyncClient, receiver: Receiver) -> None:
    """On the stream, `done` does not wait for the save either."""
    response = await client.post("/chat/stream", json=HELLO)
    assert '"history":"pending"' in response.text
    assert json.loads((await receiver.until_notified()).content)["type"] == "turn.saved"


async def until_joined(client: httpx.AsyncClient, **body: object) -> asyncio.Task[httpx.Response]:
    """Send a request that joins the running turn of the key k1."""
    request = asyncio.create_task(client.post("/chat/", json={**HELLO, **body}, headers={"Idempotency-Key": "k1"}))
    await settled()
    return request


@pytest.mark.parametrize("first_url", [None, URL, f"{URL}/first"])
@pytest.mark.parametrize("path", ["/chat/", "/chat/stream"])
async def test_callback_of_a_joiner_is_delivered(
    client: httpx.AsyncClient, model: ScriptedModel, receiver: Receiver, first_url: str | None, path: str
) -> None:
    """A request that joins a running turn is notified at its own URL. Each URL is notified once."""
    model.gate.clear()
    first = await until_joined(client, callback_url=first_url)
    second = asyncio.create_task(client.post(path, json=HELLO, headers={"Idempotency-Key": "k1"}))
    await settled()
    model.gate.set()
    assert "Good." in (await first).text
    assert "Good." in (await second).text
    urls = {URL, first_url} - {None}
    await receiver.until_notified(len(urls))
    await settled()
    assert sorted(str(request.url) for request in receiver.got) == sorted(url for url in urls if url)
    assert {json.loads(request.content)["type"] for request in receiver.got} == {"turn.saved"}


async def test_joiner_without_a_callback_waits_for_the_save(
    client: httpx.AsyncClient, model: ScriptedModel, memory: ScriptedMemory, settings: Settings
) -> None:
    """A request without a callback never gets `pending`, also if it joins a turn that has one."""
    go_on = asyncio.Event()

    async def slowly() -> httpx.Response:
        await go_on.wait()
        return await memory.handle(memory.calls("append")[-1])

    settings.callback_save_timeout_seconds = 5
    memory.respond_next("append", slowly)
    model.gate.clear()
    first = await until_joined(client)
    second = await until_joined(client, callback_url=None)
    model.gate.set()
    assert (await first).json()["metadata"]["history"] == "pending"
    await settled()
    assert not second.done()
    late = await until_joined(client, callback_url=None)
    go_on.set()
    assert [(await request).json()["metadata"]["history"] for request in (second, late)] == ["saved", "saved"]


async def test_joiner_of_a_turn_that_fails_is_not_notified(
    client: httpx.AsyncClient, model: ScriptedModel, receiver: Receiver
) -> None:
    """A turn without a reply sends no callback: each request gets the error."""
    model.gate.clear()
    model.respond_with(text(""))
    requests = [await until_joined(client, callback_url=None), await until_joined(client)]
    model.gate.set()
    assert [(await request).status_code for request in requests] == [502, 502]
    await settled()
    assert receiver.got == []


async def test_slow_receiver_delays_no_other(
    client: httpx.AsyncClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver that hangs gets a bounded number of connections, and the callbacks of another are delivered."""
    monkeypatch.setattr("callbacks.MAX_CONNECTIONS_PER_RECEIVER", 2)
    receiver.hanging = "hooks.test"
    for number in range(5):
        assert (await client.post("/chat/", json={**HELLO, "callback_url": f"{URL}/{number}"})).status_code == 200
    await client.post("/chat/", json={**HELLO, "callback_url": "http://local.test:9000/x"})
    assert (await receiver.until_notified(3)).url.host == "local.test"
    await settled()
    assert [request.url.host for request in receiver.got] == ["hooks.test", "hooks.test", "local.test"]


async def test_attempt_is_limited_as_a_whole(
    memory: ScriptedMemory, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A receiver that sends its response byte by byte does not hold an attempt longer than the limit."""
    monkeypatch.setattr("callbacks.ATTEMPT_TIMEOUT_SECONDS", 0.1)
    ended: asyncio.Queue[None] = asyncio.Queue()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 204 No Content\r\n")
            while not writer.is_closing():
                writer.write(b"x-more: 1\r\n")
                await writer.drain()
                await asyncio.sleep(0.02)
        except OSError:
            pass
        finally:
            ended.put_nowait(None)
            writer.close()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        app = create_app(
            Settings(
                llm_base_url="http://model.test/v1",
                llm_model="scripted",
                callback_allowed_hosts=(host,),
                callback_secret=SecretStr(SECRET),
                callback_attempts=2,
            ),
            memory_transport=httpx.MockTransport(memory.handle),
            model_transport=httpx2.MockTransport(model.handle),
        )
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://chat.test") as client,
        ):
            await client.post("/chat/", json={**HELLO, "callback_url": f"http://{host}/x"})
            async with asyncio.timeout(5):
                for _ in range(2):
                    await ended.get()
    assert "callback not delivered" in caplog.text


async def test_pending_callbacks_are_bounded(
    client: httpx.AsyncClient, receiver: Receiver, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the bound a request with a callback to this receiver gets 503; others run. Delivered ones make room."""
    monkeypatch.setattr("callbacks.MAX_PENDING_CALLBACKS", 2)
    receiver.hanging = "hooks.test"
    for _ in range(2):
        assert (await client.post("/chat/", json=HELLO)).status_code == 200
    for _ in range(2):
        refused = await client.post("/chat/", json=HELLO)
        assert (refused.status_code, refused.json()["code"]) == (503, "too_many_callbacks")
        assert refused.headers["retry-after"] == "30"
    assert len(model.requests) == 2
    assert (await client.post("/chat/", json={**HELLO, "callback_url": None})).status_code == 200
    assert (await client.post("/chat/", json={**HELLO, "callback_url": "http://local.test:9000/"})).status_code == 200
    receiver.go_on.set()
    await receiver.until_notified(3)
    await settled()
    assert (await client.post("/chat/", json=HELLO)).status_code == 200


async def test_what_pending_means_is_described(client: httpx.AsyncClient) -> None:
    """The description says that no callback comes from a process that was killed, and what to do then."""
    described = (await client.get("/openapi.json")).json()
    schemas = described["components"]["schemas"]
    texts = [
        schemas["Message"]["properties"]["callback_url"]["description"],
        schemas["Metadata"]["properties"]["history"]["description"],
        str(described["paths"]["/chat/"]["post"]["callbacks"]),
    ]
    assert all("process is killed before" in text and "the same Idempotency-Key" in text for text in texts)
