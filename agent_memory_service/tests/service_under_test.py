"""An app of this service over a fake Dapr, with the requests that many tests send."""

import httpx
from fastapi import FastAPI

from main import create_app
from memory import Memory
from tests.fake_clients import Sidecar
from tests.fake_dapr import FakeDapr
from tests.workload import SETTINGS


class Service:
    """An app over a fake Dapr. Send its requests inside `fake_time.run`."""

    def __init__(self, app: FastAPI, dapr: FakeDapr, sidecar: Sidecar) -> None:
        self.app = app
        self.dapr = dapr
        self.sidecar = sidecar
        self.memory: Memory = app.state.memory
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://memory"
        )

    def another_replica(self) -> "Service":
        """Another process of the service over the same store."""
        sidecar = Sidecar(self.dapr)
        return Service(create_app(SETTINGS, sidecar_transport=sidecar), self.dapr, sidecar)

    async def append(self, session: str, turn: str, *contents: str, user: str = "u") -> httpx.Response:
        entries = [{"role": "user", "content": content} for content in contents]
        body = {"turn_id": turn, "user_id": user, "entries": entries}
        return await self.http.post(f"/conversations/{session}/turns", json=body)

    async def contents(self, session: str, query: str = "") -> list[str]:
        history = (await self.http.get(f"/conversations/{session}{query}")).json()["history"]
        return [entry["content"] for entry in history]
