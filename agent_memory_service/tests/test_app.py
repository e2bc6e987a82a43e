"""What `create_app` assembles: independent apps, and the middleware that each request passes."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

import main
from settings import Settings
from tests.fake_clients import Sidecar
from tests.fake_dapr import FakeDapr
from tests.fake_time import run
from tests.workload import SETTINGS

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PROFILE = {"name": "Ann", "preferred_style": "formal", "goal": "plan"}


class RecordingSidecar(Sidecar):
    """A sidecar that records the headers of the requests it gets."""

    def __init__(self) -> None:
        super().__init__(FakeDapr())
        self.headers: list[httpx.Headers] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.headers.append(request.headers)
        return await super().handle_async_request(request)


def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://memory")


async def started(settings: Settings, sidecar: RecordingSidecar) -> FastAPI:
    """An app that has learned how its store behaves and has looked for what is due. The sidecar forgets those calls."""
    app = main.create_app(settings, sidecar_transport=sidecar)
    await app.state.memory.start()
    await asyncio.sleep(1)
    sidecar.headers.clear()
    return app


def utf8(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers with values that are not ASCII, which httpx refuses as text."""
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def test_apps_are_independent() -> None:
    """Each app stores and returns its own data, also if their requests run at the same time."""

    async def scenario() -> None:
        first, second = [FakeDapr() for _ in range(2)]
        clients = [client(main.create_app(SETTINGS, sidecar_transport=Sidecar(dapr))) for dapr in (first, second)]
        bodies = [PROFILE | {"name": name} for name in ("first", "second")]
        await asyncio.gather(
            *(http.post("/memories/u/initialize", json=body) for http, body in zip(clients, bodies, strict=True))
        )
        assert [dapr.values() for dapr in (first, second)] == [{"user:u": body} for body in bodies]
        assert [(await http.get("/memories/u")).json() for http in clients] == bodies

    run(scenario())


async def test_functions_use_the_modules_app_outside_of_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The four functions can be called directly: they serve the app that uvicorn starts."""
    dapr = FakeDapr()
    monkeypatch.setattr(main, "app", main.create_app(SETTINGS, sidecar_transport=Sidecar(dapr)))
    await main.set_user_metadata("u", dict(PROFILE))
    assert dapr.values() == {"user:u": PROFILE}


@pytest.mark.parametrize(
    ("sent", "passed_on"),
    [
        ({"traceparent": TRACEPARENT, "tracestate": "a=b"}, {"traceparent": TRACEPARENT, "tracestate": "a=b"}),
        ({"traceparent": TRACEPARENT, "tracestate": "a" * 513}, {"traceparent": TRACEPARENT}),
        ({"traceparent": TRACEPARENT, "tracestate": "é"}, {"traceparent": TRACEPARENT}),
        ({"traceparent": "é", "tracestate": "a=b"}, {}),
        ({"traceparent": f"00-{'0' * 32}-b7ad6b7169203331-01"}, {}),
        ({"dapr-app-id": "another", "authorization": "secret"}, {}),
    ],
)
def test_only_a_valid_trace_context_goes_on(sent: dict[str, str], passed_on: dict[str, str]) -> None:
    """The sidecar gets the caller's valid trace headers and no other header; invalid ones are ignored."""

    async def scenario() -> None:
        sidecar = RecordingSidecar()
        http = client(await started(SETTINGS, sidecar))
        response = await http.get("/memories/u", headers=utf8(sent))
        assert response.status_code == 200
        (headers,) = sidecar.headers
        own = {"host", "content-type", "content-length"}
        assert {name: value for name, value in headers.items() if name not in own} == passed_on

    run(scenario())


@pytest.mark.parametrize("token", [None, SecretStr("token")])
def test_health_says_whether_the_app_token_is_required(token: SecretStr | None) -> None:
    """A chat service that checks people's tokens can learn whether this service lets in anybody else."""

    async def scenario() -> None:
        http = client(main.create_app(Settings(app_api_token=token), sidecar_transport=RecordingSidecar()))
        response = await http.get("/health/live")
        assert response.json() == {"status": "live", "app_token_required": token is not None}

    run(scenario())


def test_app_token_is_required_except_by_probes() -> None:
    """With APP_API_TOKEN set, a request without it is 401; health routes and the metrics need no token."""

    async def scenario() -> None:
        settings = Settings(app_api_token=SecretStr("token"), dapr_api_token=SecretStr("sidecar-token"))
        sidecar = RecordingSidecar()
        http = client(await started(settings, sidecar))
        refused = await http.get("/memories/u")
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
        assert (await http.get("/memories/u", headers=utf8({"dapr-api-token": "é"}))).status_code == 401
        assert (await http.get("/memories/u", headers={"dapr-api-token": "token"})).status_code == 200
        assert (await http.get("/health/ready")).status_code == 200
        assert (await http.get("/metrics")).status_code == 200
        assert (await http.get("/metrics/memories/u")).status_code == 401
        assert {headers["dapr-api-token"] for headers in sidecar.headers} == {"sidecar-token"}

    run(scenario())
