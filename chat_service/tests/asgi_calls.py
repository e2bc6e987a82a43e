"""Calls the app as a server does, so that a test sees each piece of the response and can disconnect."""

import asyncio
import json
from collections.abc import Callable
from types import TracebackType
from typing import Self

from fastapi import FastAPI
from starlette.types import Message


class StreamedCall:
    """A request whose response is received piece by piece."""

    def __init__(
        self,
        app: FastAPI,
        path: str,
        body: dict[str, object],
        headers: dict[str, str] | None = None,
        method: str = "POST",
    ) -> None:
        self.pieces: list[str] = []
        self.status: int | None = None
        self.is_complete = False
        self._changed = asyncio.Condition()
        self._gone = asyncio.Event()
        self._body: bytes | None = json.dumps(body).encode()
        self._app = app
        given = {"content-type": "application/json", **(headers or {})}
        path, _, query = path.partition("?")
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
            "client": ("127.0.0.1", 1),
            "server": ("chat.test", 80),
        }

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._app(self._scope, self._receive, self._send))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()
        async with asyncio.timeout(5):
            await self._task

    @property
    def text(self) -> str:
        """Everything received so far."""
        return "".join(self.pieces)

    def hang_up(self) -> None:
        """Disconnect."""
        self._gone.set()

    async def ended(self) -> str:
        """Wait for the end of the response and return it whole."""
        async with asyncio.timeout(5):
            await self._task
        return self.text

    async def until(self, fulfilled: Callable[[str], bool]) -> None:
        """Wait until the text received so far fulfils the condition."""
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(lambda: fulfilled(self.text))

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.is_complete = not message.get("more_body", False)
            if message.get("body"):
                self.pieces.append(message["body"].decode())
        async with self._changed:
            self._changed.notify_all()


def parsed_events(stream: str) -> list[tuple[str, dict[str, object]]]:
    """The events of a stream, each with its data."""
    found = []
    for block in stream.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


async def settled() -> None:
    """Let all tasks run until each one waits. No task in these tests waits for a network."""
    for _ in range(200):
        await asyncio.sleep(0)


async def background_ended() -> None:
    """Wait until all background work has ended. The openai client looks at the platform in a thread, once."""
    async with asyncio.timeout(5):
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)
