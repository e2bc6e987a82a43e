"""The recordings of Dapr, replayed: the local sidecar responds in the same way.

Against another sidecar, Dapr's own above all, with `echo_app.py` behind a second one and nothing behind a third:
    DAPR_BASE=http://127.0.0.1:3500    the sidecar under test
    DAPR_INVOKE_APP_ID=rec-memory      app id of the sidecar with the echo app
    DAPR_DOWN_APP_ID=rec-down          app id of the sidecar whose app does not listen
    DAPR_STORE=statestore              its state store
The sidecar under test must have the app id rec-chat and the echo app's rec-memory: one recorded hash contains both.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.environment import free_ports
from harness.processes import Process
from tests.contract.local_sidecars import BIN, REDIS, start_sidecar
from tests.contract.recorded_scenario import Target, needs_of, play_all, scenarios

HERE = Path(__file__).parent
RECORDED = scenarios(HERE / "recordings.jsonl")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The sidecar that the environment names, or three local ones."""
    if base := os.environ.get("DAPR_BASE"):
        named = {name: os.environ.get(f"DAPR_{name}", "") for name in ("INVOKE_APP_ID", "DOWN_APP_ID")}
        yield Target(base, named["INVOKE_APP_ID"], named["DOWN_APP_ID"], os.environ.get("DAPR_STORE", "statestore"))
        return
    with ExitStack() as stack:
        yield _local(tmp_path_factory.mktemp("recordings"), stack)


@pytest.fixture(scope="module")
def found(target: Target) -> dict[str, list[str]]:
    """The differences of each scenario that can be played."""
    missing = {need for need, app_id in (("invoke", target.callee), ("down", target.down)) if not app_id}
    return play_all({name: steps for name, steps in RECORDED.items() if not needs_of(steps) & missing}, target)


@pytest.mark.parametrize("scenario", RECORDED)
def test_responds_as_recorded(scenario: str, found: dict[str, list[str]]) -> None:
    """Status, headers and body of every exchange are those of Dapr."""
    if scenario not in found:
        pytest.skip("needs an app id: see the top of this file")
    assert not found[scenario], "\n".join(found[scenario])


def _local(folder: Path, stack: ExitStack) -> Target:
    app, nothing = free_ports(2)
    command = [
        str(BIN / "uvicorn"),
        "echo_app:app",
        "--host",
        "127.0.0.1",
        "--port",
        str(app),
        "--log-level",
        "warning",
    ]
    command += ["--timeout-keep-alive", "120"]
    echo = Process(command, HERE, {}, folder / "echo.log", f"http://127.0.0.1:{app}/healthz")
    stack.callback(echo.stop)
    echo.start()
    apps = {"rec-chat": app, "rec-memory": app, "rec-down": nothing}
    bases = [start_sidecar(folder, app_id, app_port, [REDIS], stack) for app_id, app_port in apps.items()]
    echo.until_ready()
    return Target(bases[0], "rec-memory", "rec-down", "statestore")
