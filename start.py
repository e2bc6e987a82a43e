"""`make run`: starts both services, with Dapr if it is installed and else with the local sidecar.

usage: .venv/bin/python start.py [auto|dapr|local] [STORE]

STORE names a folder of `components/`, for example sqlite. Without it, `components/` itself is used: Redis. If something
prevents the start, nothing is started and one line says what and what to do.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

import yaml
from dotenv.parser import parse_stream

ROOT = Path(__file__).resolve().parent
ENV_FILE = ROOT / "chat_service" / ".env"
COMPONENTS = "./components"
"""The resources folder in `dapr.yaml`. A store's folder has the same files: its component, resiliency and config."""

RUN_FILE = ROOT / "dapr.yaml"
STORE_RUN_FILE = ROOT / ".dapr-store.yaml"
"""A copy of `dapr.yaml` with another resources folder; written at each start with STORE, ignored by git."""

DEFAULT_REDIS = "localhost:6379"
"""The address of Redis if the component names none, as Dapr's own default."""

PROBE_SECONDS = 1.0
"""Timeout of the question whether Redis works."""

READY_URLS = ("http://127.0.0.1:8001/health/ready", "http://127.0.0.1:8010/health/ready")
"""The health routes of `dapr.yaml`'s apps: the memory service first, as the chat service needs it."""

READY_POLL_SECONDS = 0.3
"""Pause between two questions whether the services are ready."""

SLOW_START_SECONDS = 20.0
"""After so long without being ready the reason is printed once. A start takes 3 to 8 seconds."""

READY = """
  ready
  chat     http://127.0.0.1:8010/docs
  memory   http://127.0.0.1:8001/docs
  try      curl -s http://127.0.0.1:8010/chat/ -H 'Content-Type: application/json' \
-d '{"user_id": "junaid", "text": "Hello"}'
  stop     Ctrl-C
"""

_opener = build_opener(ProxyHandler({}))
"""Opens URLs of this machine without the environment's proxy."""


def refuse(reason: str) -> NoReturn:
    """Print why nothing is started, and exit with 1."""
    sys.exit(f"make run: {reason}")


def resources_folder(store: str | None) -> Path:
    """Return the folder of components that `store` names."""
    folder = ROOT / COMPONENTS / (store or "")
    if not (folder / "statestore.yaml").is_file():
        known = sorted(path.parent.name for path in (ROOT / COMPONENTS).glob("*/statestore.yaml"))
        refuse(f"there is no components/{store}/statestore.yaml. STORE can be: {', '.join(known) or 'nothing yet'}")
    return folder


def missing_for_dapr(folder: Path) -> str | None:
    """Return what Dapr needs and does not have, or None."""
    if shutil.which("dapr") is None:
        return "the Dapr CLI is not installed (https://docs.dapr.io/getting-started/install-dapr-cli/)"
    if not (Path.home() / ".dapr" / "bin" / "daprd").exists():
        return "Dapr's runtime is not in ~/.dapr/bin (`dapr init` installs it)"
    address = redis_address(folder)
    return missing_redis(address) if address else None


def redis_address(folder: Path) -> str | None:
    """Return the address of the Redis that the state store uses, None if it uses another store."""
    for document in yaml.safe_load_all((folder / "statestore.yaml").read_text(encoding="utf-8")):
        spec = document["spec"] if document and document.get("kind") == "Component" else {}
        if spec.get("type") == "state.redis":
            values = {item["name"]: item.get("value") for item in spec["metadata"]}
            return str(values.get("redisHost") or DEFAULT_REDIS)
    return None


def missing_redis(address: str) -> str | None:
    """Return why Redis cannot be used, or None. Logs in as the store will, with REDIS_PASSWORD if it is set."""
    password = os.environ.get("REDIS_PASSWORD", "")
    login = f"AUTH {password}\r\n" if password else ""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), PROBE_SECONDS) as connection:
            connection.settimeout(PROBE_SECONDS)
            connection.sendall(f"{login}PING\r\nQUIT\r\n".encode())
            response = b""
            while part := connection.recv(1024):
                response += part
    except OSError:
        return f"no Redis responds on {address} (`dapr init` or `redis-server` starts one)"
    if b"+PONG" not in response:
        return "Redis refuses the password (set REDIS_PASSWORD)"
    return None


def check_env_file() -> None:
    """Refuse to start with a chat_service/.env that cannot be read; point out one in the wrong folder."""
    if (ROOT / ".env").exists():
        print("note: ./.env is not read. The chat service reads chat_service/.env: move it there.")
    if not ENV_FILE.exists():
        return
    try:
        with ENV_FILE.open(encoding="utf-8") as lines:
            broken = [binding.original.line for binding in parse_stream(lines) if binding.error]
    except (OSError, UnicodeDecodeError) as error:
        refuse(f"chat_service/.env cannot be read: {error}. Correct it, or copy .env.example again")
    if broken:
        refuse(f"chat_service/.env, line {broken[0]}: it is not NAME=value. Correct it, or copy .env.example again")


def ports(*, with_dapr: bool) -> Iterator[tuple[int, str]]:
    """Give the ports that `dapr.yaml` names, each with its user. Only Dapr's sidecars open the internal gRPC port."""
    for app in yaml.safe_load(RUN_FILE.read_text(encoding="utf-8"))["apps"]:
        yield app["appPort"], app["appID"]
        yield app["daprHTTPPort"], f"the sidecar of {app['appID']}"
        if with_dapr:
            yield app["daprInternalGRPCPort"], f"gRPC of the sidecar of {app['appID']}"


def check_ports(*, with_dapr: bool) -> None:
    """Refuse to start if something listens on one of the ports."""
    for port, user in ports(with_dapr=with_dapr):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                refuse(f"port {port} ({user}) is in use. Stop what listens there (`lsof -i :{port}` shows it)")


def run_file(store: str | None) -> Path:
    """Return the run file. With a store it is a copy of `dapr.yaml` that names the store's folder."""
    if store is None:
        return RUN_FILE
    text = RUN_FILE.read_text(encoding="utf-8")
    STORE_RUN_FILE.write_text(text.replace(COMPONENTS, f"{COMPONENTS}/{store}"), encoding="utf-8")
    return STORE_RUN_FILE


def not_ready() -> str | None:
    """Return what is not ready yet, None once both services are."""
    for url in READY_URLS:
        try:
            _opener.open(url, timeout=5.0).close()
        except HTTPError as error:
            return f"{url} responds {error.code}: {error.read(500).decode(errors='replace')}"
        except (URLError, OSError):
            return f"{url} does not respond"
    return None


def print_when_ready(stopped: threading.Event) -> None:
    """Print the addresses once both services are ready; print the reason once if that takes long."""
    waited = 0.0
    while (reason := not_ready()) is not None:
        if stopped.wait(READY_POLL_SECONDS):
            return
        waited += READY_POLL_SECONDS
        if waited >= SLOW_START_SECONDS > waited - READY_POLL_SECONDS:
            print(f"\n  not ready yet: {reason}\n  Dapr's own logs are in */.dapr/logs\n", flush=True)
    if not stopped.is_set():
        print(READY, flush=True)


def run(command: list[str]) -> int:
    """Run the command until it ends, and pass signals on to it. Returns its exit code."""
    child = subprocess.Popen(command, cwd=ROOT)

    def forward(number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGINT:  # the terminal sends Ctrl-C to the child as well
            child.send_signal(signal.SIGTERM)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)
    stopped = threading.Event()
    threading.Thread(target=print_when_ready, args=(stopped,), daemon=True).start()
    try:
        return child.wait()
    finally:
        stopped.set()


def main(mode: str, store: str | None) -> int:
    """Check, print what is started and why, and run it."""
    folder = resources_folder(store)
    check_env_file()
    missing = None if mode == "local" else missing_for_dapr(folder)
    if mode == "dapr" and missing:
        refuse(f"{missing}. `make run-local` needs neither Dapr nor Redis")
    with_dapr = mode != "local" and missing is None
    check_ports(with_dapr=with_dapr)
    file = run_file(store)
    if with_dapr:
        print(f"Starting with Dapr; the state store is the one in {folder.relative_to(ROOT)}/.", flush=True)
        return run(["dapr", "run", "-f", str(file)])
    place = os.environ.get("LOCAL_SIDECAR_STATE", ".local/")
    print(f"Starting with the local sidecar: {missing or 'as asked'}. State is kept in {place}.", flush=True)
    return run([str(ROOT / ".venv" / "bin" / "local-sidecar"), "run", "-f", str(file)])


if __name__ == "__main__":
    mode, *stores = sys.argv[1:] or ["auto"]
    if mode not in ("auto", "dapr", "local") or len(stores) > 1:
        sys.exit(__doc__)
    sys.exit(main(mode, stores[0] if stores and stores[0] else None))
