"""The modules of a part of this repository and what each of them imports, read from the files."""

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tests.import_rules import TOP, Part, Room

NOT_PRODUCT = ("conftest.py", "test_*.py")
"""Files of a service's folder that are no part of the service."""


@cache
def modules(part: Part) -> dict[str, Path]:
    """Return the part's files by module name without its prefix, such as `log.page_plan`."""
    return {
        _module_name(path.relative_to(part.folder)): path
        for path in sorted(part.folder.rglob("*.py"))
        if path.relative_to(part.folder).parts[0] not in part.without
        and (part.prefix or not any(path.match(pattern) for pattern in NOT_PRODUCT))
    }


@cache
def graph(part: Part) -> dict[str, set[str]]:
    """Return, for each module of a part, the modules of the same part that it imports."""
    known = modules(part)
    return {
        name: {own for one in imported(path) if (own := _own_module(one, part.prefix, known))}
        for name, path in known.items()
    }


def imported(path: Path) -> set[str]:
    """Return the full names of all that a file imports, wherever in it: `from a import b` gives `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def packages_of(imports: Iterable[str]) -> set[str]:
    """Return every package that the names lie in, themselves included: `a.b.c` gives `a`, `a.b` and `a.b.c`."""
    parts = [name.split(".") for name in imports]
    return {".".join(words[:length]) for words in parts for length in range(1, len(words) + 1)}


def reached(part: Part, start: str) -> set[str]:
    """Return the modules of the part that `start` needs, itself included."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += graph(part)[module]
    return found


def room_of(part: Part, module: str) -> Room | None:
    """Return the room of a module, or None if it lies in a package that is no room."""
    package, _, rest = module.partition(".")
    for room in part.rooms:
        if module in room.modules or (not room.modules and room.name == package and _is_package(part, package)):
            return room
    top = next(room for room in part.rooms if room.name == TOP)
    return None if rest or _is_package(part, package) else top


def _is_package(part: Part, name: str) -> bool:
    return (part.folder / name).is_dir()


def _module_name(path: Path) -> str:
    words = path.with_suffix("").parts
    return ".".join(words[:-1] if words[-1] == "__init__" else words)


def _own_module(name: str, prefix: str, known: dict[str, Path]) -> str | None:
    """Return the module of the part that an imported name is, or None."""
    if prefix:
        if not name.startswith(f"{prefix}."):
            return None
        name = name.removeprefix(f"{prefix}.")
    return name if name in known and known[name].stem != "__init__" else None
