"""Plain requests to the fake, for the tests of the fake itself."""

from urllib.parse import quote

import httpx

from tests.fake_clients import Sidecar
from tests.fake_dapr import FakeDapr
from tests.fake_time import run
from tests.fake_wire import JSON
from tests.store_kinds import REDIS, StoreKind

BASE_URL = "http://127.0.0.1:3501/v1.0/state/"


class Wire:
    """Plain requests to a fake of one kind of store."""

    def __init__(self, kind: StoreKind = REDIS) -> None:
        self.dapr = FakeDapr(kind=kind)
        self.client = httpx.AsyncClient(transport=Sidecar(self.dapr), base_url=BASE_URL)

    def ask(self, method: str, path: str, body: JSON = None, headers: dict[str, str] | None = None) -> httpx.Response:
        return run(self.client.request(method, path, json=body, headers=headers))

    def save(self, *items: JSON) -> int:
        return self.ask("POST", "statestore", list(items)).status_code

    def get(self, key: str) -> tuple[int, str | None, str]:
        response = self.ask("GET", "statestore/" + quote(key, safe=""))
        return response.status_code, response.headers.get("etag"), response.text
