"""Stores beside those of the other tests: a short use of each one that is accepted, and the refusal of one that is not.

With DAPRD, SQLite and the store in memory need no server, and the encrypted store needs a Redis.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.paths import COMPONENTS
from harness.system import System, running
from tests.calls import append, assert_kept, client, history, keep, repeated, until

pytestmark = pytest.mark.slow

TURNS = 24
"""Turns that fill two pages and leave some in the head."""

PROFILE = {"name": "Ada", "preferred_style": "formal", "goal": "be kept"}
NOTHING: dict[str, object] = {"profile": None, "facts": [], "conversations": []}

COMPONENT = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: statestore}}
spec: {{type: {kind}, version: v1, metadata: []}}
"""


def resources(folder: Path, kind: str) -> Path:
    """Write a resources folder with a state store of a kind that needs no settings. Returns the folder."""
    made = folder / "resources"
    made.mkdir()
    (made / "statestore.yaml").write_text(COMPONENT.format(kind=kind))
    return made


@pytest.fixture(params=["sqlite", "encrypted", "in-memory"])
def small(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """A memory service and a chat service on each of these stores."""
    monkeypatch.setenv("MEMORY_ENCRYPTION_KEY", "0123456789abcdef" * 4)
    named = COMPONENTS / request.param
    folder = named if named.exists() else resources(tmp_path, f"state.{request.param}")
    with running(tmp_path, chats=1, components=folder) as system:
        yield system


async def test_the_store_keeps_and_forgets(small: System) -> None:
    """Turns and a profile are kept over a kill of the service and known to the agent; an erase leaves nothing."""
    user, session, memory = small.new_id("user"), small.new_id("session"), small.memories[0]
    chat, talk = f"{small.chats[0].url}/chat/", small.new_id("talk")
    body = {"user_id": user, "text": "Hello", "metadata": {"session_id": talk}}
    async with client() as http:
        assert (await http.get(f"{memory.url}/health/ready")).status_code == 200
        assert (await http.post(f"{memory.url}/memories/{user}/initialize", json=PROFILE)).status_code == 200
        sent = [await keep(http, memory.url, session, user, f"turn-{n}", f"{n}?", f"{n}!") for n in range(TURNS)]
        memory.app.kill()
        memory.app.start()
        memory.app.until_ready()
        # The client may still hold a connection to the process that was killed.
        again = await repeated(lambda: append(http, memory.url, session, user, "turn-3", "other", "words"))
        assert again.status_code == 200
        assert_kept(await history(http, memory.url, session), sent)

        async def saved() -> bool:
            response = await http.post(chat, json=body)
            return bool(
                response.json()["metadata"]["history"] == "saved" and PROFILE["name"] in response.json()["reply"]
            )

        await until(saved, "a reply that knows the profile is saved")
        assert (await http.delete(f"{memory.url}/memories/{user}")).status_code == 204
        assert (await http.get(f"{memory.url}/memories/{user}/export")).json() == {"user_id": user, **NOTHING}
        for erased in (session, talk):
            assert (await http.get(f"{memory.url}/conversations/{erased}")).status_code == 410


@pytest.fixture
def refused(tmp_path: Path) -> Iterator[System]:
    """A memory service on MySQL, whose keys `alice`, `Alice` and `Álice` are one."""
    with running(tmp_path, components=resources(tmp_path, "state.mysql")) as system:
        if system.sidecars.daprd is not None:
            pytest.skip("needs a MySQL server")
        yield system


async def test_a_store_that_takes_two_users_for_one_is_refused(refused: System) -> None:
    """The service is not ready and says why. Reads and writes get the same response."""
    memory = refused.memories[0].url
    async with client() as http:
        for path in ("/health/ready", "/memories/alice", "/conversations/hers", "/memories/alice/export"):
            response = await http.get(f"{memory}{path}")
            assert (response.status_code, response.json()["code"]) == (503, "store_unsuitable"), path
            assert "statestore (state.mysql)" in response.json()["detail"]
        turn = await append(http, memory, "hers", "alice", "turn", "Hello")
        assert (turn.status_code, turn.json()["code"]) == (503, "store_unsuitable")
        assert (await http.get(f"{memory}/health/live")).status_code == 200
