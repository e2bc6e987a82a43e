"""Two people and an issuer on one stack: nobody reads or changes what is another's, through any route."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from harness.environment import clean_environment
from harness.openid_issuer import DISCOVERY_PATH, JWKS_PATH, OpenIdIssuer
from harness.paths import ROOT
from harness.system import System, running
from tests.calls import client, entries, until
from tests.ownership_table import KEY, ROWS, TEXT, Row

pytestmark = pytest.mark.slow

APP_TOKEN = {"APP_API_TOKEN": "only-sidecars-have-it"}
OPEN_PATHS = {"/", "/health/live", "/health/ready"}
WAITING = 1_000
"""Requests at once with made-up key ids."""


@pytest.fixture(scope="module")
def issuer() -> Iterator[OpenIdIssuer]:
    """The issuer that the chat service trusts."""
    with OpenIdIssuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def guarded(issuer: OpenIdIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A chat service with identity on, and a memory service that lets in its sidecar only."""
    with System(tmp_path_factory.mktemp("guarded")) as system:
        system.add_memory(APP_TOKEN, sidecar_env=APP_TOKEN)
        system.add_chat(issuer.env)
        system.start()
        yield system


async def say(
    http: httpx.AsyncClient, system: System, headers: dict[str, str], session: str | None = None
) -> httpx.Response:
    """Send a message to the chat service."""
    metadata = {} if session is None else {"metadata": {"session_id": session}}
    return await http.post(f"{system.chats[0].url}/chat/", json={"text": TEXT, **metadata}, headers=headers)


async def user_id(http: httpx.AsyncClient, system: System, headers: dict[str, str]) -> str:
    """The user id of the person with these headers."""
    response = await say(http, system, headers)
    assert response.json()["metadata"]["history"] == "saved", response.text
    return str(response.json()["user_id"])


class Stage:
    """Ada's session and stored reply, and the three callers who try every row on them."""

    def __init__(self, system: System, http: httpx.AsyncClient, people: dict[str, dict[str, str]]) -> None:
        self.system = system
        self.http = http
        self.people = people
        self.session = system.new_id("session")
        self.names: dict[str, str] = {}

    async def prepare(self) -> None:
        """Store a turn in Ada's session and another under her key, and a session without an owner."""
        ada, bob = [await user_id(self.http, self.system, self.people[name]) for name in ("ada", "bob")]
        stored = await say(self.http, self.system, self.people["ada"] | KEY)
        derived = stored.json()["metadata"]["session_id"]
        turn = {"turn_id": "turn-1", "user_id": ada, "entries": entries("Ada's secret", "kept")}
        url = f"{self.system.memory}/conversations/{self.session}/turns"
        appended = await self.http.post(url, json=turn)
        assert appended.status_code == 201
        epoch = appended.json()["epoch"]
        facts = f"{self.system.memory}/memories/{ada}/facts"
        fact = (await self.http.post(facts, json={"text": "Ada's secret fact"})).json()["fact_id"]
        free = self.system.new_id("free")
        written = {"history": entries("nobody's secret", "kept")}
        replaced = await self.http.post(f"{self.system.memory}/conversations/{free}", json=written)
        assert replaced.status_code == 200
        free_epoch = (await self.http.get(f"{self.system.memory}/conversations/{free}?last=1")).json()["epoch"]
        ids = {"session": self.session, "derived": derived, "free": free, "fact": fact, "ada": ada, "bob": bob}
        self.names = {**ids, "epoch": epoch, "free_epoch": free_epoch}

    async def statuses(self, row: Row) -> tuple[int, ...]:
        """What Ada, Bob and an unknown caller get, Ada last: a row may delete the session."""
        before = await self.contents()
        bob, nobody = [await self._try(row, caller) for caller in ("bob", "nobody")]
        assert await self.contents() == before, f"changed by somebody else: {row.what}"
        assert "secret" not in bob.text + nobody.text
        ada = await self._try(row, "ada")
        if row.headers and ada.is_success and bob.is_success:
            assert _reply_id(ada.text) != _reply_id(bob.text)
        return ada.status_code, bob.status_code, nobody.status_code

    async def contents(self) -> list[str]:
        """All messages of the three sessions, and what is stored of Ada besides."""
        paths = [f"conversations/{self.names[name]}" for name in ("session", "derived", "free")]
        paths.append(f"memories/{self.names['ada']}?facts=true")
        return [(await self.http.get(f"{self.system.memory}/{path}")).text for path in paths]

    async def _try(self, row: Row, caller: str) -> httpx.Response:
        names = {**self.names, "me": self.names.get(caller, self.names["ada"])}
        if row.target == "chat":
            url, headers = self.system.chats[0].url, self.people.get(caller, {}) | row.headers
        elif caller == "nobody":
            url, headers = self.system.memories[0].url, {}
        else:
            url, headers = self.system.memory, {}
        body = None if row.body is None else json.loads(_filled(json.dumps(row.body), names))
        return await self.http.request(row.method, f"{url}{_filled(row.path, names)}", json=body, headers=headers)


def _filled(text: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _reply_id(text: str) -> str:
    """The turn id in a reply, streamed or not."""
    return text.partition('"turn_id":"')[2].partition('"')[0]


async def test_two_people_on_one_stack(guarded: System, issuer: OpenIdIssuer) -> None:
    """Every row of the table in docs/identity.md: what each gets, and that Ada's messages stay as they are."""
    async with client() as http:
        stage = Stage(guarded, http, {name: issuer.headers(name) for name in ("ada", "bob")})
        await stage.prepare()
        found = [(row.what, row.path, await stage.statuses(row)) for row in ROWS]
    assert found == [(row.what, row.path, row.statuses) for row in ROWS]


async def test_table_has_every_route(guarded: System) -> None:
    """No route of a person's data is missing in the table, and the docs show the table."""
    async with client() as http:
        chat = (await http.get(f"{guarded.chats[0].url}/openapi.json")).json()["paths"]
        memory = (await http.get(f"{guarded.memory}/openapi.json")).json()["paths"]
    closed = {(method.upper(), path) for path in chat for method in chat[path] if path not in OPEN_PATHS}
    assert closed == {(row.method, row.route) for row in ROWS if row.target == "chat"}
    named = {
        (method.upper(), path)
        for path in memory
        for method, operation in memory[path].items()
        if path.startswith("/conversations/") and "user_id" in json.dumps([operation, path])
    }
    assert named <= {(row.method, row.route) for row in ROWS if row.target == "memory"}
    docs = (ROOT / "docs" / "identity.md").read_text()
    assert [row.markdown for row in ROWS if row.markdown not in docs] == []


async def test_memory_service_is_closed_to_others(guarded: System) -> None:
    """At its own port every route but health demands APP_API_TOKEN, so nobody can name a user there."""
    url = guarded.memories[0].url
    async with client() as http:
        described = (await http.get(f"{guarded.memory}/openapi.json")).json()["paths"]
        for path, operations in described.items():
            for method in operations:
                response = await http.request(
                    method, url + path.format(session_id="s", user_id="u", fact_id="f"), json={}
                )
                assert response.status_code == (200 if path.startswith("/health/") else 401), path
    assert "APP_API_TOKEN" not in guarded.chats[0].app.tail()


def printed_ids(subjects: list[str], issuer: OpenIdIssuer) -> str:
    """What the command prints for these subjects."""
    command = [sys.executable, "-m", "identity.user_ids", *subjects]
    env = {**clean_environment(), **issuer.env}
    run = subprocess.run(command, cwd=ROOT / "chat_service", env=env, capture_output=True, text=True, check=True)
    return run.stdout


async def test_command_prints_the_user_id(guarded: System, issuer: OpenIdIssuer) -> None:
    """An operator finds the data of a person whose subject our ids cannot hold."""
    subjects = ["ada", "auth0|123", "ada@example.com", "Ада", "x" * 200]
    lines = (await asyncio.to_thread(printed_ids, subjects, issuer)).splitlines()
    async with client() as http:
        for subject, line in zip(subjects, lines, strict=True):
            found = await user_id(http, guarded, issuer.headers(subject))
            assert line == f"{found}\t{subject}"
            export = (await http.get(f"{guarded.memory}/memories/{found}/export")).json()
            assert len(export["conversations"]) > 0


async def test_every_kind_of_key(guarded: System, issuer: OpenIdIssuer) -> None:
    """RSA, EC and Ed25519 keys of one issuer lead to the same user."""
    async with client() as http:
        assert len({await user_id(http, guarded, issuer.headers("ada", kid)) for kid in ("rsa", "ec", "ed")}) == 1


async def test_unknown_key_ids_at_once_cause_one_fetch(guarded: System, issuer: OpenIdIssuer) -> None:
    """1,000 requests with made-up key ids cause one fetch of the keys and no discovery."""
    tokens = [issuer.token("ada", named=f"unknown-{number}") for number in range(WAITING)]
    async with client() as http:
        await user_id(http, guarded, issuer.headers("ada"))
        issuer.fetched.clear()
        calls = [say(http, guarded, {"Authorization": f"Bearer {token}"}) for token in tokens]
        responses = await asyncio.gather(*calls)
        assert {response.status_code for response in responses} == {401}
        assert issuer.fetched == {JWKS_PATH: 1}
        await user_id(http, guarded, issuer.headers("ada"))


async def test_issuer_that_stops(issuer: OpenIdIssuer, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Down at first use: 503. Up again: good. Rotated: the new key is good. Down once more: known keys stay good.

    Neither the memory service nor its sidecar has an APP_API_TOKEN, so the start warns.
    """
    other = OpenIdIssuer()
    with running(tmp_path_factory.mktemp("stops"), chats=1, env=other.env) as system:

        async def is_warned() -> bool:
            log = system.chats[0].app.tail()
            return "WARNING chat_service.identity identity is on, but" in log and "APP_API_TOKEN" in log

        async def is_good() -> bool:
            return (await say(http, system, other.headers("ada"))).status_code == 200

        async with client() as http:
            refused = await say(http, system, other.headers("ada"))
            assert (refused.status_code, refused.json()["code"]) == (503, "issuer_unavailable")
            other.start()
            await until(is_good, "the issuer is reached")
            other.publish("new")
            assert (await say(http, system, other.headers("ada", "new"))).status_code == 200
            other.stop()
            assert (await say(http, system, other.headers("bob", "new"))).status_code == 200
            assert (await say(http, system, issuer.headers("ada"))).status_code == 401
            assert other.fetched[DISCOVERY_PATH] == 1
        await until(is_warned, "the warning")


async def test_nothing_of_a_token_is_logged(guarded: System, issuer: OpenIdIssuer) -> None:
    """No log of any process has a part of a token, and none has a stack trace."""
    tokens = [issuer.token("ada", email="ada@example.com"), issuer.token("ada", exp=1), issuer.token("ada", named="x")]
    async with client() as http:
        for token in tokens:
            await say(http, guarded, {"Authorization": f"Bearer {token}"})
    logs = "\n".join(process.log.read_text(errors="replace") for process in guarded.processes)
    assert "turn user=ada~" in logs
    for part in {part for token in tokens for part in token.split(".")} | {"ada@example.com", "Traceback"}:
        assert part not in logs
