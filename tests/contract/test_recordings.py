"""What Dapr answered, replayed: the local sidecar answers the same.

Against another sidecar, Dapr's own above all, with `echo_app.py` behind a second one and nothing behind a third:
    DAPR_BASE=http://127.0.0.1:3500    the sidecar to ask
    DAPR_INVOKE_APP_ID=rec-memory      app id of the sidecar with the echo app
    DAPR_DOWN_APP_ID=rec-down          app id of the sidecar whose app does not listen
    DAPR_STORE=statestore              its state store
The sidecar asked must have the app id rec-chat and the echo app's rec-memory: one recorded hash contains both.
"""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.environment import free_ports
from harness.processes import Process
from tests.contract.recorded_scenario import Target, needs_of, play, scenarios

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
RECORDED = scenarios(HERE / "recordings.jsonl")
UNSUPPORTED: frozenset[str] = frozenset()  # names of scenarios that the local sidecar refuses with 501

COMPONENT = """
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: statestore}
spec: {type: state.redis, version: v1, metadata: []}
"""


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The sidecar that the environment names, or three local ones of our own."""
    if base := os.environ.get("DAPR_BASE"):
        named = {name: os.environ.get(f"DAPR_{name}", "") for name in ("INVOKE_APP_ID", "DOWN_APP_ID")}
        yield Target(base, named["INVOKE_APP_ID"], named["DOWN_APP_ID"], os.environ.get("DAPR_STORE", "statestore"))
        return
    folder = tmp_path_factory.mktemp("recordings")
    (folder / "components").mkdir()
    (folder / "components" / "statestore.yaml").write_text(COMPONENT)
    with ExitStack() as stack:
        yield _local(folder, stack)


@pytest.fixture(scope="module")
def found(target: Target) -> dict[str, list[str]]:
    """The differences of each scenario that can be played; all are played at once, as most of their time is waiting."""
    missing = {need for need, app_id in (("invoke", target.callee), ("down", target.down)) if not app_id}
    playable = [name for name, steps in RECORDED.items() if not needs_of(steps) & missing]
    with ThreadPoolExecutor(len(playable)) as threads:
        return dict(zip(playable, threads.map(lambda name: play(RECORDED[name], target), playable), strict=True))


@pytest.mark.parametrize("scenario", RECORDED)
def test_answers_as_recorded(scenario: str, found: dict[str, list[str]]) -> None:
    """Status, headers and body of every exchange are those of Dapr."""
    if scenario in UNSUPPORTED:
        pytest.skip("refused with 501")
    if scenario not in found:
        pytest.skip("needs an app id: see the top of this file")
    assert not found[scenario], "\n".join(found[scenario])


def _local(folder: Path, stack: ExitStack) -> Target:
    app, nothing, *ports = free_ports(5)
    serve = [str(BIN / "uvicorn"), "echo_app:app", "--host", "127.0.0.1", "--port", str(app), "--log-level", "warning"]
    command = [*serve, "--timeout-keep-alive", "120"]
    started = [Process(command, HERE, {}, folder / "echo.log", f"http://127.0.0.1:{app}/healthz")]
    for app_id, app_port, port in zip(("rec-chat", "rec-memory", "rec-down"), (app, app, nothing), ports, strict=True):
        command = [str(BIN / "local-sidecar"), "--app-id", app_id, "--app-port", str(app_port)]
        command += ["--dapr-http-port", str(port), "--resources-path", "components", "--state-path", "state.db"]
        ready = f"http://127.0.0.1:{port}/v1.0/healthz/outbound"
        environment = {"LOCAL_SIDECAR_REGISTRY": str(folder / "registry")}
        started.append(Process(command, folder, environment, folder / f"{app_id}.log", ready))
    for process in started:
        stack.callback(process.stop)
        process.start()
    for process in started:
        process.until_ready()
    return Target(f"http://127.0.0.1:{ports[0]}", "rec-memory", "rec-down", "statestore")
