"""The import rule of `docs/architecture.md` as data: the layers of each service, lowest first, and what may touch HTTP.

A module may import its own service's modules of lower layers only. Every module that `main` reaches stands here once.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One service's rule. `pure` modules decide from data alone; `wire` modules may import an HTTP client."""

    service: str
    layers: tuple[frozenset[str], ...]
    pure: frozenset[str]
    wire: frozenset[str]


def _layers(*names: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(layer.split()) for layer in names)


HTTP_CLIENTS = frozenset({"aiohttp", "httpx", "httpx2", "httpx_aiohttp", "requests", "socket", "urllib3"})
NOT_FOR_THE_PURE = HTTP_CLIENTS | {"asyncio", "fastapi", "os", "starlette", "time", "uvicorn"}

RULES = (
    Rule(
        "agent_memory_service",
        _layers(
            "documents settings models errors recent_turns",
            "dapr_state page_plan",
            "attempts gate health log_reader",
            "paged_log",
            "sweeps user_sessions",
            "conversations profiles",
            "erasure",
            "service",
            "dependencies views",
            "tutorial_routes",
            "routes",
            "main",
        ),
        pure=frozenset({"documents", "recent_turns", "page_plan"}),
        wire=frozenset({"dapr_state", "service"}),
    ),
    Rule(
        "chat_service",
        _layers(
            "body_limit errors left_streams lifecycle model_client models settings stop_signals trace_context",
            "callbacks error_handlers ids memory_client model_errors prompts turn_log",
            "api_docs context health model_http offline_replies saving",
            "offline_model recall replies",
            "providers",
            "chat_agent",
            "summaries",
            "turns",
            "running_turns",
            "dependencies",
            "routes",
            "main",
        ),
        pure=frozenset({"models", "prompts", "context", "offline_replies"}),
        wire=frozenset({"callbacks", "main", "memory_client", "model_http", "providers"}),
    ),
)
