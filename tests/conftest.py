"""Systems of real processes for the tests; a test that fails shows what they printed."""

from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest

from harness.system import System, running
from tests.watched import Watched, watching


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for sizes that take minutes."""
    parser.addoption("--long", action="store_true", help="full sizes: a session of 100,000 messages")


def pytest_configure(config: pytest.Config) -> None:
    """Name the marks."""
    config.addinivalue_line("markers", "slow: left out by `make test`, run by `make test-slow` and in CI")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the processes' output to a failure."""
    report = yield
    if report.failed:
        used = [value.system if isinstance(value, Watched) else value for value in item.funcargs.values()]
        report.sections += [("processes", system.logs()) for system in used if isinstance(system, System)]
    return report


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Two memory services behind one app id and a chat service with the offline model; left as it was found."""
    with running(tmp_path_factory.mktemp("house"), memories=2, chats=1) as system:
        yield system


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    """A memory service behind a proxy that sees its calls to the store."""
    async with watching(tmp_path) as found:
        yield found
