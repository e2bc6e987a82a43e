"""Imports point one way: from the routes down to the settings, and only the lowest know a wire."""

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from layers import HTTP_CLIENTS, NOT_FOR_THE_PURE, RULES, Rule

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = [ROOT / "local_sidecar" / "src" / "local_sidecar", ROOT / "bench"]

services = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.service)


def imported(path: Path) -> set[str]:
    """The modules a file imports, wherever in it; of this package by their names in it, of others by the topmost."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module not in ("", path.parent.name):
            found.add(node.module)
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names}
    own = f"{path.parent.name}."
    return {name.removeprefix(own).partition(".")[0] for name in found}


def graph(folder: Path) -> dict[str, set[str]]:
    """What each module of a folder imports."""
    return {path.stem: imported(path) for path in folder.glob("*.py")}


def reached(modules: dict[str, set[str]], start: str) -> set[str]:
    """The folder's modules that `start` needs, itself included."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        module = waiting.pop()
        if module in modules and module not in found:
            found.add(module)
            waiting += modules[module]
    return found


@services
def test_every_module_of_a_service_has_its_layer(rule: Rule) -> None:
    """The layers name each module that the service is made of, once, and no other."""
    named = [module for layer in rule.layers for module in layer]
    assert sorted(named) == sorted(reached(graph(ROOT / rule.service), "main"))


@services
def test_a_module_imports_lower_layers_only(rule: Rule) -> None:
    """No module imports one of its own layer or of a higher one."""
    height = {module: number for number, layer in enumerate(rule.layers) for module in layer}
    modules = graph(ROOT / rule.service)
    wrong = {
        f"{module} imports {other}"
        for module in height
        for other in modules[module] & modules.keys()
        if height.get(other, len(height)) >= height[module]
    }
    assert wrong == set()


@services
def test_pure_modules_know_no_wire(rule: Rule) -> None:
    """What decides from data reaches neither a client, nor the clock, nor the environment, however indirectly."""
    modules = graph(ROOT / rule.service)
    for module in rule.pure:
        assert reached(modules, module) <= rule.pure
        assert modules[module] & NOT_FOR_THE_PURE == set(), module


@services
def test_only_the_modules_of_the_wire_import_http_clients(rule: Rule) -> None:
    """HTTP clients are imported where the rule says, and there they are."""
    modules = graph(ROOT / rule.service)
    service = reached(modules, "main")
    assert {module for module in service if modules[module] & HTTP_CLIENTS} == rule.wire


@services
def test_no_module_hides_a_package(rule: Rule) -> None:
    """No module has the name of a package that is installed or of the standard library."""
    others = set(packages_distributions()) | sys.stdlib_module_names
    assert graph(ROOT / rule.service).keys() & others == set()


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda folder: folder.name)
def test_packages_have_no_import_cycles(folder: Path) -> None:
    """The modules of each package can be put in an order in which each needs only those before."""
    modules = graph(folder)
    inner = {module: needed & modules.keys() - {"__init__"} for module, needed in modules.items()}
    try:
        TopologicalSorter(inner).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {error.args[1]}")
