"""The tutorial's own tests pass for these services, and each side reads what the other wrote."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.environment import clean_environment
from harness.groups import ProcessGroup
from harness.paths import BIN, ROOT
from harness.services import CHAT_SERVICE, MEMORY_SERVICE, add_service
from harness.system import System
from harness.tutorial import tutorial_code, tutorial_missing, tutorial_service
from tests.calls import append, client, entries, history, keep

MISSING = tutorial_missing("test_main.py")

pytestmark = pytest.mark.skipif(MISSING is not None, reason=f"its tests were NOT run: {MISSING}")

RUN_SECONDS = 60.0
"""How long one of the tutorial's test files may take."""

NO_MODEL = {"LLM_BASE_URL": "http://127.0.0.1:9"}
"""Nothing listens there: the memory service calls no model."""


@pytest.mark.slow
@pytest.mark.parametrize("service", [MEMORY_SERVICE, CHAT_SERVICE])
def test_the_tutorials_tests_pass(service: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The unchanged tests pass without a warning for this service's `main`. The last line of the run is printed."""
    tests = Path(__file__).parent
    options = ["-c", "../pyproject.toml", "--import-mode=importlib", "-W", "error"]
    plugins = ["-p", "no:cacheprovider", "-p", "check_tested_main"]
    run = subprocess.run(
        [str(BIN / "python"), "-m", "pytest", *options, *plugins, str(tutorial_code(service) / "test_main.py")],
        cwd=ROOT / service,
        env={**clean_environment(), "PYTHONPATH": f".{os.pathsep}{tests}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    print(run.stdout, run.stderr)
    with capsys.disabled():
        print(f"\nthe tutorial's {service}/test_main.py: {run.stdout.strip().splitlines()[-1]}")
    assert run.returncode == 0
    assert " passed" in run.stdout
    assert " warning" not in run.stdout


@pytest.fixture(scope="module")
def theirs(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the tutorial's unchanged memory service, started on the sidecar of one of ours."""
    sidecar_port = int(system.memories[0].sidecar_url.rpartition(":")[2])
    with ProcessGroup(tmp_path_factory.mktemp("theirs")) as group:
        _, url = add_service(group, MEMORY_SERVICE, launcher=tutorial_service, sidecar_port=sidecar_port, env=NO_MODEL)
        group.start()
        yield url


@pytest.mark.parametrize("messages", [1, 20, 100, 1_000])
async def test_a_session_of_the_tutorial_is_read_and_continued(system: System, theirs: str, messages: int) -> None:
    """At any length, each message keeps its place and its timestamp, and a new turn follows the last one."""
    session, ours = system.new_id("session"), system.memories[0].url
    text = [f"message {number}" for number in range(messages)]
    async with client() as http:
        assert (
            await http.post(f"{theirs}/conversations/{session}", json={"history": entries(*text)})
        ).status_code == 200
        written = (await http.get(f"{theirs}/conversations/{session}")).json()
        assert (await http.get(f"{ours}/conversations/{session}")).json() == written
        await keep(http, ours, session, "ada", "turn", "asked", "answered")
        read = (await http.get(f"{ours}/conversations/{session}")).json()["history"]
        assert read[:-2] == written["history"]
        assert [entry["content"] for entry in read[-2:]] == ["asked", "answered"]
        newest = (await http.get(f"{ours}/conversations/{session}?last=20")).json()
        assert [entry["content"] for entry in newest["history"]] == [*text, "asked", "answered"][-20:]
        assert newest["total"] == messages + 2


async def test_a_profile_is_read_by_both_sides(system: System, theirs: str) -> None:
    """Each side reads the profile that the other initialized."""
    ours = system.memories[0].url
    async with client() as http:
        for writer, reader in ((theirs, ours), (ours, theirs)):
            user = system.new_id("user")
            profile = {"name": "Junaid", "preferred_style": "formal", "goal": "schedule tasks"}
            written = await http.post(f"{writer}/memories/{user}/initialize", json=profile)
            assert written.json() == {"status": "success", "user_id": user, "metadata": profile}
            assert (await http.get(f"{reader}/memories/{user}")).json() == profile


async def test_a_short_session_of_ours_is_read_by_the_tutorial(system: System, theirs: str) -> None:
    """A session that fits into one document is read whole, and the tutorial's replace takes effect."""
    session, ours = system.new_id("session"), system.memories[0].url
    async with client() as http:
        for number in range(10):
            await keep(http, ours, session, "ada", f"turn-{number}", f"asked {number}", f"answered {number}")
        read = (await http.get(f"{theirs}/conversations/{session}")).json()
        assert read == (await http.get(f"{ours}/conversations/{session}")).json()
        assert len(read["history"]) == 20
        replaced = await http.post(f"{theirs}/conversations/{session}", json={"history": entries("anew")})
        assert replaced.status_code == 200
        assert (await append(http, ours, session, "ada", "turn-new", "and on")).status_code == 201
        assert await history(http, ours, session) == ["anew", "and on"]
