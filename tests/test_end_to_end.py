"""The tutorial's dialogues through `make run-local`: real processes on the real ports."""

import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from harness.checkout import Checkout, busy_ports
from harness.paths import BIN
from harness.processes import READY_SECONDS
from launcher.apps import read_apps
from tests.calls import client, until
from tests.sse import Event, events

pytestmark = pytest.mark.slow

MEMORY, CHAT = (app.url for app in read_apps())
READY = "\n  ready\n"
PROFILE = {"name": "Junaid", "preferred_style": "formal", "goal": "schedule tasks"}
TALK = "What have we talked about and what do you know about me?"
DIALOGUE = ("Hello", "What time is it?", TALK, "What were my last 2 messages?")
REPLIES = (
    r"Junaid",
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC",
    r"(?s)(?=.*Junaid)(?=.*schedule tasks)",
    r'(?s)1\. "What time is it\?".*2\. "' + re.escape(TALK) + '"',
)


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    """A copy of the repository. Its output is shown when the test fails."""
    assert busy_ports() == [], "the ports of a running system are needed: stop it first"
    copy = Checkout(tmp_path)
    try:
        yield copy
    finally:
        copy.end()
        if copy.log.exists():
            print(copy.log.read_text(errors="replace"))


async def started(http: httpx.AsyncClient, checkout: Checkout) -> None:
    """Start the system and wait until it says that it is ready: then the chat service is, its memory included."""

    before = checkout.log.read_text().count(READY) if checkout.log.exists() else 0

    async def says_ready() -> bool:
        assert checkout.running is not None
        assert checkout.running.poll() is None, "it ended while starting"
        return checkout.log.read_text().count(READY) > before

    checkout.start("make", "run-local")
    await until(says_ready, "it says that it is ready", READY_SECONDS)
    assert (await http.get(f"{CHAT}/health/ready")).status_code == 200


def turn_body(text: str, session: str | None) -> dict[str, object]:
    """Return the body of the tutorial's request."""
    metadata = {"metadata": {"session_id": session}} if session else {}
    return {"user_id": "junaid", "text": text, "tags": ["question"], **metadata}


async def dialogue(http: httpx.AsyncClient) -> str:
    """Hold the tutorial's dialogue and check each reply. Returns the session id."""
    session = None
    for text, expected in zip(DIALOGUE, REPLIES, strict=True):
        response = await http.post(f"{CHAT}/chat/", json=turn_body(text, session))
        assert response.status_code == 200, response.text
        assert re.search(expected, response.json()["reply"]), response.json()["reply"]
        metadata = response.json()["metadata"]
        assert (metadata["history"], metadata["memory"]) == ("saved", "ok")
        assert "offline" in metadata["model"]
        session = metadata["session_id"]
    assert isinstance(session, str)
    return session


async def streamed(http: httpx.AsyncClient, text: str, session: str) -> list[Event]:
    """Return the events of one streamed turn."""
    async with http.stream("POST", f"{CHAT}/chat/stream", json=turn_body(text, session)) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        return [event async for event in events(response)]


async def streamed_dialogue(http: httpx.AsyncClient, session: str) -> None:
    """Hold the dialogue as streams: the pieces make the reply, and the time comes from a tool."""
    for text, expected in zip(DIALOGUE, REPLIES, strict=True):
        got = await streamed(http, text, session)
        done = got[-1]
        assert done.kind == "done"
        reply = "".join(event.data["text"] for event in got if event.kind == "delta")
        assert reply == done.data["reply"]
        assert re.search(expected, reply), reply
        tools = [event.data["name"] for event in got if event.kind == "tool"]
        assert tools == (["get_current_time"] if "time" in text.split() else [])


async def test_the_tutorials_dialogues_stopped_and_started_again(checkout: Checkout) -> None:
    """All replies are right, streamed or not. Ctrl-C leaves no process. The next start remembers the dialogue."""
    async with client() as http:
        await started(http, checkout)
        printed = checkout.log.read_text()
        assert "local sidecar" in printed.splitlines()[0], "the first line says what is started and why"
        assert "curl" in printed
        assert (await http.post(f"{MEMORY}/memories/junaid/initialize", json=PROFILE)).status_code == 200
        session = await dialogue(http)
        await streamed_dialogue(http, "streamed")
        assert len((await http.get(f"{MEMORY}/conversations/{session}")).json()["history"]) == 2 * len(DIALOGUE)
        checkout.interrupt()
        assert (checkout.left(), busy_ports()) == ([], [])

        await started(http, checkout)
        for known in (session, "streamed"):
            response = await http.post(f"{CHAT}/chat/", json=turn_body("What were my last 2 messages?", known))
            assert re.search(rf'1\. "{re.escape(TALK)}"\s+2\. "{re.escape(DIALOGUE[-1])}"', response.json()["reply"])
        checkout.interrupt()
        assert (checkout.left(), busy_ports()) == ([], [])


@pytest.mark.parametrize("port", [8010, 3501])
def test_a_port_in_use_is_reported_in_one_line(checkout: Checkout, port: int) -> None:
    """Nothing is started, and the exit code is 1."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        run = subprocess.run(
            [str(BIN / "python"), "start.py", "local"],
            cwd=checkout.path,
            env=checkout.environment,
            capture_output=True,
            text=True,
            timeout=READY_SECONDS,
            check=False,
        )
    assert run.returncode == 1
    lines = (run.stdout + run.stderr).strip().splitlines()
    assert len(lines) == 1
    assert f"{port}" in lines[0]
    assert checkout.left() == []


def test_an_unreadable_env_file_is_reported(checkout: Checkout) -> None:
    """`make run-local` names the file, prints no stack trace and leaves no process."""
    (checkout.path / "chat_service" / ".env").write_bytes(b"GEMINI_API_KEY=\xff\xfe\n")
    checkout.start("make", "run-local")
    assert checkout.running is not None
    assert checkout.running.wait(READY_SECONDS) != 0
    printed = checkout.log.read_text()
    assert "chat_service/.env" in printed
    assert "Traceback" not in printed
    assert checkout.left() == []
