"""Systems of real processes for the tests. The report of a failed test shows what they printed."""

import os
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest

from harness.paths import COMPONENTS, ROOT
from harness.system import System, running
from tests.watched import Watched, watching

FROM_THE_ROOT = (
    "each service has its own `main` and `tests`, so one run cannot hold them all: run `make test`, or pytest in one "
    "folder, such as `cd chat_service && ../.venv/bin/python -m pytest`"
)

NAMED_COMPONENTS = os.environ.get("COMPONENTS")
"""The resources folder that the environment names, for the tests against Dapr and a store of their own."""

STORES = (
    [pytest.param(ROOT / NAMED_COMPONENTS, id=NAMED_COMPONENTS)]
    if NAMED_COMPONENTS
    else [
        pytest.param(COMPONENTS, id="redis"),
        pytest.param(COMPONENTS / "postgres", id="postgresql", marks=pytest.mark.slow),
    ]
)
"""The stores on which the promises are tested: one kind that writes an etag on a missing key, and one that refuses."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options for sizes that take minutes and for the picture in the README."""
    parser.addoption("--long", action="store_true", help="full sizes: a session of 100,000 messages")
    parser.addoption("--picture", action="store_true", help="write docs/page.png, the picture of the chat page")


def pytest_cmdline_main(config: pytest.Config) -> None:
    """Refuse a run of the whole repository with one line that says what to run."""
    if any((config.invocation_params.dir / argument).resolve() == ROOT for argument in config.args):
        raise pytest.UsageError(FROM_THE_ROOT)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the processes' output to the report of a failed test."""
    report = yield
    if report.failed:
        used = [value.system if isinstance(value, Watched) else value for value in item.funcargs.values()]
        report.sections += [("processes", system.logs()) for system in used if isinstance(system, System)]
    return report


@pytest.fixture(scope="session", params=STORES)
def components(request: pytest.FixtureRequest) -> Path:
    """The resources folder of each store."""
    folder: Path = request.param
    return folder


@pytest.fixture(scope="session")
def system(components: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Two memory services behind one app id and a chat service with the offline model. No test may break it."""
    with running(tmp_path_factory.mktemp("system"), memories=2, chats=1, components=components) as shared:
        yield shared


@pytest.fixture
async def watched(components: Path, tmp_path: Path) -> AsyncIterator[Watched]:
    """A memory service behind a proxy that sees its calls to the store."""
    async with watching(tmp_path, components) as found:
        yield found
