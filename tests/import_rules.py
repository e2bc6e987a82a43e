"""Who may import whom, as data: the rooms of each part of this repository.

A room is a package (a folder) of a part, or a set of modules at the part's top. A module at the top that no room names
belongs to the room TOP. So a new file in a package or at the top needs no change here; a new package does.
"""

from dataclasses import dataclass
from pathlib import Path


def names(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


ROOT = Path(__file__).resolve().parent.parent

TOP = "top"
"""The room of all modules at the top of a part that no other room names."""

HTTP_CLIENTS = frozenset(
    {"aiohttp", "http.client", "httpx", "httpx2", "httpx_aiohttp", "requests", "socket", "urllib3"}
)
"""What a module imports when it knows a wire."""

NOT_FOR_PURE_MODULES = HTTP_CLIENTS | names("asyncio fastapi os starlette time uvicorn")
"""A pure module decides from its arguments only: no wire, no clock, no environment, no event loop."""


@dataclass(frozen=True, slots=True)
class Room:
    """Modules that may import each other, without cycles, and the modules of the rooms in `may_import`.

    `modules` names modules at the part's top. Without it the room is the package of that name.
    """

    name: str
    may_import: tuple[str, ...] = ()
    modules: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the repository: a service, a package, or a folder of tests.

    Its modules import each other with `prefix`; a service's have none, as it is started in its own folder. `pure` and
    `wire` name modules. `wire` lists every module that may import an HTTP client; None allows it to all.
    """

    name: str
    folder: Path
    rooms: tuple[Room, ...]
    prefix: str = ""
    pure: frozenset[str] = frozenset()
    wire: frozenset[str] | None = None
    other_parts: frozenset[str] = frozenset()
    """The parts that it may import. A service imports none: the two share no code."""

    without: frozenset[str] = frozenset()
    """Folders in it that are no part of it."""


MEMORY = Part(
    "agent_memory_service",
    ROOT / "agent_memory_service",
    (
        Room(TOP),
        Room("log", (TOP,)),
        Room(
            "domain",
            (TOP, "log"),
            names("conversations erasure export facts list_compaction memory profiles recall user_sessions"),
        ),
        Room("api", (TOP, "log", "domain")),
        Room("main", (TOP, "log", "domain", "api"), names("main")),
    ),
    pure=names(
        "activity cursor documents errors fact_list keys log.page_plan log.recent_ids log.repeat_window store_traits"
    ),
    wire=names("bounded_http dapr_wire"),
    without=names("tests"),
)

CHAT = Part(
    "chat_service",
    ROOT / "chat_service",
    (
        Room(TOP),
        Room("llm", (TOP,)),
        Room("identity", (TOP,)),
        Room("page", (TOP,)),
        Room("agent", (TOP, "llm")),
        Room("turn", (TOP, "llm", "agent", "identity")),
        Room("api", (TOP, "llm", "agent", "turn", "identity", "page")),
        Room("main", (TOP, "llm", "identity", "agent", "turn", "page", "api"), names("main")),
    ),
    pure=names(
        "models memory_models user_models agent.context agent.offline_replies agent.prompts identity.users"
        " turn.session_ids page.accept page.rendering"
    ),
    wire=names(
        "agent.provider bounded_http callbacks http_clients identity.authentication identity.issuer_documents"
        " llm.client llm.connections llm.transport main memory_client memory_user_data sidecar_http"
    ),
    without=names("tests"),
)

SIDECAR = Part(
    "local_sidecar",
    ROOT / "local_sidecar" / "src" / "local_sidecar",
    (
        Room(TOP),
        Room("state", (TOP,)),
        Room("resources", (TOP, "state"), names("metadata state_components")),
        Room("invocation", (TOP,)),
        Room("multi_app", (TOP,)),
        Room(
            "process",
            (TOP, "state", "resources", "invocation", "multi_app"),
            names("__main__ api cli sidecar"),
        ),
    ),
    prefix="local_sidecar",
    pure=names("invocation.paths"),
    wire=names("invocation.headers multi_app.run_file multi_app.runner sidecar"),
)

HARNESS = Part(
    "harness",
    ROOT / "harness",
    (Room(TOP), Room("model")),
    prefix="harness",
    pure=names("model.script model.wire"),
    other_parts=names("launcher"),
)

BENCH = Part(
    "bench",
    ROOT / "bench",
    (Room(TOP),),
    prefix="bench",
    pure=names("plan table"),
    other_parts=names("harness"),
)

LAUNCHER = Part(
    "launcher",
    ROOT / "launcher",
    (Room(TOP),),
    prefix="launcher",
    wire=names("checks dapr"),
)

TESTS = Part(
    "tests",
    ROOT / "tests",
    (Room(TOP), Room("contract"), Room("deploy"), Room("browser", (TOP,))),
    prefix="tests",
    other_parts=names("harness launcher local_sidecar"),
)

PARTS = (MEMORY, CHAT, SIDECAR, HARNESS, BENCH, LAUNCHER, TESTS)
SERVICES = (MEMORY, CHAT)
