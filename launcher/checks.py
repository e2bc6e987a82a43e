"""What is checked before anything is started."""

import socket
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from dotenv.parser import parse_stream

from launcher.apps import HOST, ROOT, App


def refuse(reason: str) -> NoReturn:
    """Print why nothing is started, and exit with 1."""
    sys.exit(f"make run: {reason}")


def check_env_file(root: Path = ROOT) -> None:
    """Refuse to start with a chat_service/.env that cannot be read; point out one in the wrong folder."""
    if (root / ".env").exists():
        print("note: ./.env is not read. The chat service reads chat_service/.env: move it there.", flush=True)
    env_file = root / "chat_service" / ".env"
    if not env_file.exists():
        return
    try:
        with env_file.open(encoding="utf-8") as lines:
            broken = [binding.original.line for binding in parse_stream(lines) if binding.error]
    except (OSError, UnicodeDecodeError) as error:
        refuse(f"chat_service/.env cannot be read: {error}. Correct it, or copy .env.example again")
    if broken:
        refuse(f"chat_service/.env, line {broken[0]}: it is not NAME=value. Correct it, or copy .env.example again")


def check_ports(apps: Iterable[App], *, with_dapr: bool) -> None:
    """Refuse to start if something listens on one of the ports."""
    for port, user in _ports(apps, with_dapr=with_dapr):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                refuse(f"port {port} ({user}) is in use. Stop what listens there (`lsof -i :{port}` shows it)")


def _ports(apps: Iterable[App], *, with_dapr: bool) -> Iterator[tuple[int, str]]:
    for app in apps:
        yield app.port, app.app_id
        yield app.sidecar_port, f"the sidecar of {app.app_id}"
        if with_dapr:
            yield app.sidecar_grpc_port, f"gRPC of the sidecar of {app.app_id}"
