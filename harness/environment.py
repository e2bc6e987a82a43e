"""What a started process gets from this machine: environment variables and ports."""

import os
import socket
from contextlib import ExitStack

FOREIGN_PREFIXES = ("APP_API_TOKEN", "DAPR_", "GEMINI_", "LLM_", "LOCAL_SIDECAR_", "OIDC_", "OPENAI_")
"""Variables of the caller that would send a process to another model, store or sidecar."""


def clean_environment() -> dict[str, str]:
    """Return the environment without the variables that name keys, tokens, other addresses or proxies."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(FOREIGN_PREFIXES) and "PROXY" not in name.upper()
    }


def free_ports(count: int) -> list[int]:
    """Return different ports of 127.0.0.1 on which nothing listens now."""
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in opened:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in opened]


def local_url(port: int) -> str:
    """Return the base URL of a port of this machine."""
    return f"http://127.0.0.1:{port}"
