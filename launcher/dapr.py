"""Whether Dapr and the store that it needs are there."""

import os
import shutil
import socket
from pathlib import Path

import yaml

DEFAULT_REDIS = "localhost:6379"
"""The address of Redis if the component names none, as Dapr's own default."""

PROBE_SECONDS = 1.0
"""Timeout of the question whether Redis works."""


def missing_for_dapr(folder: Path) -> str | None:
    """Return what Dapr needs and does not have, or None. `folder` holds the components."""
    if shutil.which("dapr") is None:
        return "the Dapr CLI is not installed (https://docs.dapr.io/getting-started/install-dapr-cli/)"
    if not (Path.home() / ".dapr" / "bin" / "daprd").exists():
        return "Dapr's runtime is not in ~/.dapr/bin (`dapr init` installs it)"
    address = _redis_address(folder)
    return _missing_redis(address) if address else None


def _redis_address(folder: Path) -> str | None:
    """Return the address of the Redis that the state store uses, None if it uses another store."""
    for document in yaml.safe_load_all((folder / "statestore.yaml").read_text(encoding="utf-8")):
        spec = document["spec"] if document and document.get("kind") == "Component" else {}
        if spec.get("type") == "state.redis":
            values = {item["name"]: item.get("value") for item in spec["metadata"]}
            return str(values.get("redisHost") or DEFAULT_REDIS)
    return None


def _missing_redis(address: str) -> str | None:
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
