"""`make run`: starts both services, with Dapr if it is installed and else with the local sidecar.

usage: .venv/bin/python start.py [auto|dapr|local]

If something prevents the start, nothing is started and one line says what and what to do.
"""

import os
import shutil
import socket
import sys
from pathlib import Path
from typing import NoReturn

from dotenv.parser import parse_stream

ROOT = Path(__file__).resolve().parent
ENV_FILE = ROOT / "chat_service" / ".env"

PORTS = {8010: "chat service", 3500: "its sidecar", 8001: "memory service", 3501: "its sidecar"}
"""The ports of `dapr.yaml` by what listens there, with either kind of sidecar."""

DAPR_PORTS = {50010: "chat sidecar's gRPC", 50011: "memory sidecar's gRPC"}
"""The ports that only Dapr's sidecars use, as in `dapr.yaml`."""

REDIS = ("localhost", 6379)
"""The store's address, as in `components/statestore.yaml`."""

PROBE_SECONDS = 1.0
"""Timeout of the question whether Redis works."""

WELCOME = """\
  chat     http://127.0.0.1:8010/docs
  memory   http://127.0.0.1:8001/docs
  try      curl -s http://127.0.0.1:8010/chat/ -H 'Content-Type: application/json' \
-d '{"user_id": "junaid", "text": "Hello"}'
  stop     Ctrl-C
"""


def refuse(reason: str) -> NoReturn:
    """Print why nothing is started, and exit with 1."""
    sys.exit(f"make run: {reason}")


def missing_for_dapr() -> str | None:
    """Return what Dapr needs and does not have, or None."""
    if shutil.which("dapr") is None:
        return "the Dapr CLI is not installed (https://docs.dapr.io/getting-started/install-dapr-cli/)"
    if not (Path.home() / ".dapr" / "bin" / "daprd").exists():
        return "Dapr's runtime is not in ~/.dapr/bin (`dapr init` installs it)"
    return missing_redis()


def missing_redis() -> str | None:
    """Return why Redis cannot be used, or None. Logs in as the store will, with REDIS_PASSWORD if it is set."""
    password = os.environ.get("REDIS_PASSWORD", "")
    login = f"AUTH {password}\r\n" if password else ""
    try:
        with socket.create_connection(REDIS, PROBE_SECONDS) as connection:
            connection.settimeout(PROBE_SECONDS)
            connection.sendall(f"{login}PING\r\nQUIT\r\n".encode())
            response = b""
            while part := connection.recv(1024):
                response += part
    except OSError:
        return f"no Redis responds on {REDIS[0]}:{REDIS[1]} (`dapr init` or `redis-server` starts one)"
    if b"+PONG" not in response:
        return "Redis refuses the password (set REDIS_PASSWORD)"
    return None


def check_env_file() -> None:
    """Refuse to start with a chat_service/.env that cannot be read."""
    if not ENV_FILE.exists():
        return
    try:
        with ENV_FILE.open(encoding="utf-8") as lines:
            broken = [binding.original.line for binding in parse_stream(lines) if binding.error]
    except (OSError, UnicodeDecodeError) as error:
        refuse(f"chat_service/.env cannot be read: {error}. Correct it, or copy .env.example again")
    if broken:
        refuse(f"chat_service/.env, line {broken[0]}: it is not NAME=value. Correct it, or copy .env.example again")


def check_ports(ports: dict[int, str]) -> None:
    """Refuse to start if something listens on one of the ports."""
    for port, user in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                refuse(f"port {port} ({user}) is in use. Stop what listens there (`lsof -i :{port}` shows it)")


def main(mode: str) -> None:
    """Check, print what is started and why, and replace this process by it."""
    check_env_file()
    missing = None if mode == "local" else missing_for_dapr()
    if mode == "dapr" and missing:
        refuse(f"{missing}. `make run-local` needs neither Dapr nor Redis")
    with_dapr = mode != "local" and missing is None
    check_ports(PORTS | DAPR_PORTS if with_dapr else PORTS)
    if with_dapr:
        print("Starting with Dapr and Redis: both work here. State is kept in Redis.")
        command = ["dapr", "run", "-f", "."]
    else:
        place = os.environ.get("LOCAL_SIDECAR_STATE", ".local/")
        print(f"Starting with the local sidecar: {missing or 'as asked'}. State is kept in {place}.")
        command = [str(ROOT / ".venv" / "bin" / "local-sidecar"), "run", "-f", "dapr.yaml"]
    print(WELCOME, flush=True)
    os.chdir(ROOT)
    os.execvp(command[0], command)


if __name__ == "__main__":
    arguments = sys.argv[1:] or ["auto"]
    if arguments not in (["auto"], ["dapr"], ["local"]):
        sys.exit(__doc__)
    main(arguments[0])
