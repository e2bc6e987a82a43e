"""`local-sidecar run -f`: apps are started, watched and stopped together."""

import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from sandbox import Sandbox, call, free_port, listens, state_component, until

pytestmark = pytest.mark.slow

RUN = [sys.executable, "-m", "local_sidecar", "run", "-f"]


@dataclass(frozen=True)
class RunFile:
    """A dapr.yaml of two apps, and its ports: app and sidecar of the first, then of the second."""

    sandbox: Sandbox
    ports: list[int]

    def start(self, given: str = ".") -> subprocess.Popen[str]:
        """Run the file."""
        return self.sandbox.start([*RUN, given])

    def until_ready(self) -> None:
        """Wait until the second sidecar has its app."""
        until(lambda: listens(self.ports[3]) and call(self.ports[3], "GET", "/v1.0/healthz").status == 204)

    def nothing_listens(self) -> bool:
        """Whether everything has stopped."""
        return not any(map(listens, self.ports))


@pytest.fixture
def run_file(sandbox: Sandbox) -> RunFile:
    """Two apps, named by their environment."""
    ports = [free_port() for _ in range(4)]
    apps = "".join(
        f"  - {{appID: {name}, appDirPath: ., appPort: {app}, daprHTTPPort: {sidecar},"
        f" env: {{APP_NAME: {name}}}, command: [{sys.executable}, app.py, '{app}']}}\n"
        for name, app, sidecar in (("one", *ports[:2]), ("two", *ports[2:]))
    )
    (sandbox.folder / "dapr.yaml").write_text(f"version: 1\ncommon: {{resourcesPath: ./components}}\napps:\n{apps}")
    return RunFile(sandbox, ports)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_runs_until_a_signal(run_file: RunFile, how: signal.Signals) -> None:
    """Apps call each other, the state lies beside the file, and output has a prefix. A signal stops all with code 0."""
    run = run_file.start()
    run_file.until_ready()
    assert call(run_file.ports[3], "GET", "/v1.0/invoke/one/method/name").body == b"one"
    assert (run_file.sandbox.folder / ".local" / "state.db").exists()
    run.send_signal(how)
    output, _ = run.communicate(timeout=30)
    assert run.returncode == 0
    assert f"== APP - two == ready on {run_file.ports[2]}\n" in output
    assert run_file.nothing_listens()


def test_a_file_for_dapr_only_is_mentioned_once(run_file: RunFile) -> None:
    """The two sidecars share the file. One line mentions it, and the line does not read like a fault."""
    run_file.sandbox.write_component("apiVersion: dapr.io/v1alpha1\nkind: Resiliency\n", "resiliency")
    run = run_file.start()
    run_file.until_ready()
    run.send_signal(signal.SIGTERM)
    output, _ = run.communicate(timeout=30)
    assert output.count("resiliency.yaml") == 1
    assert "components/resiliency.yaml is for Dapr; the local sidecar works without it\n" in output


def test_death_of_one_stops_all(run_file: RunFile) -> None:
    """When a process dies all are stopped, with exit code 1 and a line that names it."""
    run = run_file.start()
    run_file.until_ready()
    (sidecar,) = _processes_with(f"--dapr-http-port {run_file.ports[1]}")
    os.kill(sidecar, signal.SIGKILL)
    output, _ = run.communicate(timeout=30)
    assert run.returncode == 1
    assert "DAPR - one ended" in output
    assert run_file.nothing_listens()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux notifies a process of its parent's death")
def test_killed_runner_leaves_no_orphan(run_file: RunFile) -> None:
    """kill -9 of the runner stops what it started."""
    run = run_file.start()
    run_file.until_ready()
    run.kill()
    run.communicate()
    until(run_file.nothing_listens)


def test_port_in_use_is_one_line(run_file: RunFile) -> None:
    """A port in use is reported with exit code 1 before anything is started."""
    with socket.create_server(("127.0.0.1", run_file.ports[2])):
        run = run_file.start()
        output, _ = run.communicate(timeout=30)
    assert run.returncode == 1
    assert output.startswith(f"local-sidecar: port {run_file.ports[2]}, which two needs, is in use")
    assert output.count("\n") == 1
    assert run_file.nothing_listens()


def test_app_that_cannot_start_is_one_line(run_file: RunFile) -> None:
    """An app that cannot start is named, and what was started before it is stopped."""
    file = run_file.sandbox.folder / "dapr.yaml"
    file.write_text(file.read_text().replace(f"app.py, '{run_file.ports[2]}'", "missing.py"))
    run = run_file.start(str(file))
    output, _ = run.communicate(timeout=30)
    assert run.returncode == 1
    assert "APP - two ended (exit code 2) before it was ready" in output
    assert run_file.nothing_listens()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--app-id", "a", "--nonsense"], 2, "unrecognized arguments: --nonsense"),
        (["--dapr-http-port", "3500"], 2, "--app-id"),
        (["--app-id", "a", "--dapr-http-port", "70000"], 2, "70000"),
        (["--app-id", "a", "--resources-path", "missing"], 1, "resources folder missing does not exist"),
        (["run", "-f", "missing.yaml"], 1, "missing.yaml"),
    ],
)
def test_what_is_wrong_is_reported_in_one_line(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    """A wrong command line or resource is reported in one line, without usage or stack trace."""
    command = [sys.executable, "-m", "local_sidecar", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1)
    assert said in done.stderr


def test_store_that_is_not_served_is_one_line(sandbox: Sandbox) -> None:
    """The sidecar does not start with a store that it does not know."""
    sandbox.write_component(state_component("state.mongodb"))
    command = [sys.executable, "-m", "local_sidecar", "--app-id", "a", "--resources-path", "components"]
    done = subprocess.run(command, cwd=sandbox.folder, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "state.mongodb of version v1 is not served here" in done.stderr


def test_flags_of_daprd_are_accepted(sandbox: Sandbox) -> None:
    """A command line for daprd starts the local sidecar as well."""
    flags = ["--config", "config.yaml", "--dapr-grpc-port", "1", "--dapr-internal-grpc-port", "2"]
    flags += ["--dapr-public-port", "3", "--dapr-listen-addresses", "127.0.0.1", "--placement-host-address", ""]
    flags += ["--scheduler-host-address", "", "--enable-metrics=false", "--log-level", "warn"]
    assert sandbox.sidecar("app", None, *flags).get("a").status == 204


def _processes_with(words: str) -> list[int]:
    listing = subprocess.run(["ps", "-ww", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in listing.splitlines() if words in line]
