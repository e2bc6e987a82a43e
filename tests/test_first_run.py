"""What somebody meets who starts the system for the first time, and what is printed if something is in the way."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from harness.checkout import Checkout
from harness.environment import free_ports
from harness.paths import BIN, COMPONENTS
from harness.processes import READY_SECONDS, STOP_SECONDS
from harness.tutorial import FOLDER_THERE, REPOSITORY, tutorial_missing
from launcher import ready, run_file
from launcher.apps import RUN_FILE, App, read_apps
from launcher.checks import check_env_file
from launcher.ready import ReadyPrinter, ready_text
from launcher.run_file import has_multicast

START = [str(BIN / "python"), "-S", "start.py"]
"""As the Makefile has it."""

LONE_NETWORK = ["unshare", "--net", "--map-root-user"]
"""Runs a command on a machine without a network. Its loopback interface is down until somebody takes it up."""

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has network namespaces and /proc")


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    """A copy of the repository whose `dapr.yaml` names free ports."""
    copy = Checkout(tmp_path)
    content = RUN_FILE.read_text()
    ports = [port for app in read_apps() for port in (app.port, app.sidecar_port, app.sidecar_grpc_port)]
    for port, free in zip(ports, free_ports(len(ports)), strict=True):
        content = content.replace(str(port), str(free))
    (copy.path / RUN_FILE.name).write_text(content)
    try:
        yield copy
    finally:
        copy.end()


def ran(checkout: Checkout, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the copy to its end."""
    return subprocess.run(
        command,
        cwd=checkout.path,
        env=checkout.environment | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=2 * READY_SECONDS,  # the bench imports the agents SDK, which can take a minute on a busy machine
        check=False,
    )


class Health:
    """The health route of a fake service. `status` is what it responds."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.asked = threading.Semaphore(0)

    @contextmanager
    def served(self) -> Iterator[int]:
        """Serve on a free port, which is returned."""
        health = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(health.status if self.path == "/health/ready" else 404)
                self.send_header("content-length", "0")
                self.end_headers()
                health.asked.release()

            def log_message(self, *_arguments: object) -> None:
                """Print nothing."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield server.server_port
            server.shutdown()


@contextmanager
def printing(memory: Health, chat: Health) -> Iterator[tuple[list[App], list[str]]]:
    """Ask two fake services for their health. Yields them and what was printed so far."""
    with memory.served() as memory_port, chat.served() as chat_port:
        apps = [
            App("memory", "agent_memory_service", memory_port, 1, 2),
            App("chat", "chat_service", chat_port, 3, 4),
        ]
        printed: list[str] = []
        printer = ReadyPrinter(apps, "where the logs are", printed.append)
        thread = threading.Thread(target=printer.run)
        thread.start()
        try:
            yield apps, printed
        finally:
            memory.status = chat.status = 200
            thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("late", ["agent_memory_service", "chat_service"])
def test_ready_is_printed_when_both_services_are_ready(late: str) -> None:
    """While one of them is not ready nothing is printed; then the addresses are."""
    memory, chat = (Health(503 if name == late else 200) for name in ("agent_memory_service", "chat_service"))
    waiting = memory if late == "agent_memory_service" else chat
    with printing(memory, chat) as (apps, printed):
        for _ in range(3):
            assert waiting.asked.acquire(timeout=READY_SECONDS)
        assert printed == []
    assert printed == [ready_text(apps)]
    assert all(f"{app.url}/docs" in printed[0] for app in apps)


@pytest.mark.slow
def test_a_slow_start_is_explained_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason names the service that is not ready and where the logs are."""
    monkeypatch.setattr(ready, "SLOW_START_SECONDS", ready.POLL_SECONDS)
    memory, chat = Health(200), Health(503)
    with printing(memory, chat) as (apps, printed):
        for _ in range(4):
            assert chat.asked.acquire(timeout=READY_SECONDS)
    assert len(printed) == 2
    assert f"not ready yet: {apps[1].url}/health/ready responds 503" in printed[0]
    assert "where the logs are" in printed[0]


def test_the_ports_are_those_of_the_run_file(tmp_path: Path) -> None:
    """What is printed follows `dapr.yaml`, and each app is started on the port that its sidecar calls."""
    content = yaml.safe_load(RUN_FILE.read_text())
    for app in content["apps"]:
        command = app["command"]
        assert command[command.index("--port") + 1] == str(app["appPort"])
        app["appPort"] += 1_000
    other = tmp_path / "dapr.yaml"
    other.write_text(yaml.safe_dump(content))
    text = ready_text(read_apps(other))
    for before, after in zip(read_apps(), read_apps(other), strict=True):
        assert after.port == before.port + 1_000
        assert after.url in text
        assert before.url not in text


def test_an_env_file_in_the_wrong_folder_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The line names both places. Without such a file nothing is printed."""
    check_env_file(tmp_path)
    assert capsys.readouterr().out == ""
    (tmp_path / ".env").write_text("GEMINI_API_KEY=x\n")
    check_env_file(tmp_path)
    (line,) = capsys.readouterr().out.splitlines()
    assert "./.env is not read" in line
    assert "chat_service/.env" in line


@pytest.mark.parametrize(
    ("flags", "expected"),
    [({"lo": "0x9"}, False), ({"lo": "0x9", "eth0": "0x1002"}, False), ({"lo": "0x9", "eth0": "0x1003"}, True)],
    ids=["only loopback", "the network is down", "a network"],
)
def test_a_network_for_mdns_is_recognized(tmp_path: Path, flags: dict[str, str], expected: bool) -> None:
    """mDNS needs an interface that is up and can multicast."""
    for name, value in flags.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "flags").write_text(f"{value}\n")
    assert has_multicast(tmp_path) is expected


@pytest.mark.parametrize("store", ["", "sqlite", "postgres", "encrypted"])
def test_without_a_network_sidecars_find_each_other_by_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    """The run file differs in the configuration only, and that one only in its name resolution."""
    for name in ("WRITTEN_RUN_FILE", "WRITTEN_CONFIG", "NAMES_FILE"):
        monkeypatch.setattr(run_file, name, tmp_path / name)
    folder = COMPONENTS / store
    written = yaml.safe_load(run_file.run_file(folder, resolve_by_file=True).read_text())
    given = yaml.safe_load(RUN_FILE.read_text())
    config = Path(written["common"].pop("configFilePath"))
    assert Path(written["common"].pop("resourcesPath")) == folder
    del given["common"]["configFilePath"], given["common"]["resourcesPath"]
    assert written == given
    configuration = yaml.safe_load(config.read_text())
    resolution = configuration["spec"].pop("nameResolution")
    assert configuration == yaml.safe_load((folder / "config.yaml").read_text())
    assert (resolution["component"], resolution["configuration"]["connectionString"]) == (
        "sqlite",
        str(tmp_path / "NAMES_FILE"),
    )


FAKE_DAPR = """#!/bin/sh
echo "host: $DAPR_HOST_IP"
echo "config: $(grep configFilePath "$3")"
"""


@on_linux
def test_dapr_without_a_network_is_told_how_to_work(checkout: Checkout) -> None:
    """A line says that there is no network. Dapr gets the other configuration and an address."""
    if ran(checkout, *LONE_NETWORK, "true").returncode != 0:
        pytest.skip("this machine does not allow network namespaces")
    home = Path(checkout.environment["HOME"])
    binaries = home / "bin"
    for program in (binaries / "dapr", home / ".dapr" / "bin" / "daprd"):
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(FAKE_DAPR)
        program.chmod(0o755)
    path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
    without_lo = f"mount -t sysfs none /sys && ip link set lo up && exec {' '.join(START)} dapr sqlite"
    run = ran(checkout, *LONE_NETWORK, "--mount", "sh", "-c", without_lo, PATH=path)
    assert run.returncode == 0, run.stdout
    assert "There is no network for mDNS" in run.stdout
    assert "chat_service/.dapr/logs and agent_memory_service/.dapr/logs" in run.stdout
    assert "host: 127.0.0.1\n" in run.stdout
    assert f"configFilePath: {checkout.path}/.dapr-config.yaml" in run.stdout


def test_a_moved_environment_is_refused_with_what_to_do(checkout: Checkout) -> None:
    """`make` compares the folder that .venv was made in with the one where it is."""
    (checkout.path / ".venv").unlink()
    (checkout.path / ".venv").mkdir()
    (checkout.path / ".venv" / "ready").write_text("/elsewhere/.venv\n")
    for target in ("run-local", "check", "test"):
        run = ran(checkout, "make", target)
        assert run.returncode != 0
        assert "/elsewhere/.venv" in run.stdout
        assert "run rm -r .venv, then make setup" in run.stdout
        assert "Traceback" not in run.stdout


def test_a_command_that_cannot_be_started_is_one_line(checkout: Checkout) -> None:
    """If the sidecar's command does not work, the last line says what to do. There is no stack trace."""
    (checkout.path / ".venv").unlink()
    run = ran(checkout, *START, "local")
    assert run.returncode == 1
    assert len(run.stdout.splitlines()) == 2
    assert "run rm -r .venv, then make setup" in run.stdout.splitlines()[1]


@pytest.mark.slow
@pytest.mark.parametrize("milliseconds", [150, 200, 300, 400])
def test_ctrl_c_at_the_start_prints_no_stack_trace(checkout: Checkout, milliseconds: int) -> None:
    """Once Python itself has started: nothing is left, and nothing is printed that looks like a fault."""
    checkout.start(*START, "local")
    time.sleep(milliseconds / 1_000)
    try:
        checkout.interrupt()
    except subprocess.TimeoutExpired:
        checkout.interrupt()  # Python can lose a signal while it starts itself, before our first line: press it again
    printed = checkout.log.read_text()
    assert "Traceback" not in printed
    # Before our first line Python itself may say this one word, without a stack trace.
    assert "KeyboardInterrupt" not in printed.removeprefix("KeyboardInterrupt\n")
    assert checkout.left() == []


@on_linux
@pytest.mark.slow
def test_closing_the_terminal_stops_everything(checkout: Checkout) -> None:
    """Nothing is left when the window is closed in which `make run-local` runs."""
    terminal = checkout.start_in_terminal("make", "run-local")
    printed = b""
    deadline = time.monotonic() + READY_SECONDS
    while b"  ready" not in printed and time.monotonic() < deadline:
        printed += os.read(terminal, 65_536)
    assert b"  ready" in printed
    assert len(checkout.left()) >= 7, "make, start.py, the runner, two sidecars and two services"
    os.close(terminal)
    deadline = time.monotonic() + STOP_SECONDS
    while checkout.left() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert checkout.left() == []


def test_without_the_tutorial_it_is_said_where_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One line names the repository, its folder and the variable. Tests are skipped with it."""
    monkeypatch.setenv("TUTORIAL_DIR", str(tmp_path))
    missing = tutorial_missing("main.py")
    assert missing is not None
    assert len(missing.splitlines()) == 1
    assert all(part in missing for part in (REPOSITORY, FOLDER_THERE, "TUTORIAL_DIR=PATH"))


def test_the_tutorial_is_found_as_its_repository_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its repository names the chat service's folder with a hyphen."""
    monkeypatch.setenv("TUTORIAL_DIR", str(tmp_path))
    for folder in ("agent_memory_service", "chat-service"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "main.py").touch()
    assert tutorial_missing("main.py") is None


@pytest.mark.slow
def test_without_the_tutorial_the_bench_is_one_line(checkout: Checkout, tmp_path: Path) -> None:
    """The bench says where to get the tutorial, measures nothing, and leaves nothing behind."""
    run = ran(checkout, str(BIN / "python"), "-m", "bench", TUTORIAL_DIR="missing", TMPDIR=str(tmp_path))
    assert run.returncode == 1
    (line,) = run.stdout.splitlines()
    assert REPOSITORY in line
    assert list(tmp_path.glob("bench-*")) == []
