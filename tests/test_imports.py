"""Imports point one way: within a part from room to room, and between the parts of this repository."""

import sys
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions

import pytest

from tests.import_graph import graph, imported, modules, packages_of, reached, room_of
from tests.import_rules import HTTP_CLIENTS, NOT_FOR_PURE_MODULES, PARTS, SERVICES, Part

parts = pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
limited = pytest.mark.parametrize("part", [part for part in PARTS if part.wire is not None], ids=lambda part: part.name)
services = pytest.mark.parametrize("part", SERVICES, ids=lambda part: part.name)


def assert_no_cycle(needed: Mapping[str, set[str]]) -> None:
    """Fail with the first cycle of a graph."""
    try:
        TopologicalSorter(needed).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")


@parts
def test_every_module_is_in_a_room(part: Part) -> None:
    """A new package has to be named in the rules, and every module that the rules name exists."""
    assert [name for name in modules(part) if name and room_of(part, name) is None] == []
    named = part.pure | (part.wire or frozenset()) | {module for room in part.rooms for module in room.modules}
    assert named - modules(part).keys() == set()


@parts
def test_rooms_are_imported_one_way(part: Part) -> None:
    """A module imports its own room and the rooms that the rules allow; the allowed imports have no cycle."""
    assert_no_cycle({room.name: set(room.may_import) for room in part.rooms})
    wrong = set()
    for module, needed in graph(part).items():
        room = room_of(part, module)
        for other in needed:
            target = room_of(part, other)
            if room and target and target.name not in (room.name, *room.may_import):
                wrong.add(f"{module} ({room.name}) imports {other} ({target.name})")
    assert wrong == set()


@parts
def test_modules_have_no_import_cycle(part: Part) -> None:
    """The modules of a part have an order in which each imports earlier ones only."""
    assert_no_cycle(graph(part))


@parts
def test_pure_modules_know_no_wire(part: Part) -> None:
    """A pure module imports no client, clock or environment, and of its own part pure modules only."""
    for module in part.pure:
        assert reached(part, module) <= part.pure
        assert packages_of(imported(modules(part)[module])) & NOT_FOR_PURE_MODULES == set(), module


@limited
def test_only_the_modules_of_the_wire_import_http_clients(part: Part) -> None:
    """The modules that import an HTTP client are those that the rules name."""
    found = {name for name, path in modules(part).items() if packages_of(imported(path)) & HTTP_CLIENTS}
    assert part.wire is not None
    assert found == set(part.wire)


@parts
def test_a_part_imports_no_other_part_but_those_allowed(part: Part) -> None:
    """The services share no code, and neither they nor their tests import the harness, the bench or the sidecar."""
    others = {other.name for other in PARTS if other is not part} - part.other_parts
    own_tests = {"tests"} if part.without else set()
    wrong = {
        f"{path.relative_to(part.folder)} imports {name}"
        for path in part.folder.rglob("*.py")
        for name in packages_of(imported(path)) & (others - own_tests)
    }
    assert wrong == set()


@services
def test_no_module_hides_a_package(part: Part) -> None:
    """No module or package at a service's top has the name of an installed or a standard library package."""
    installed = set(packages_distributions()) | sys.stdlib_module_names
    assert {name.partition(".")[0] for name in modules(part)} & installed == set()
