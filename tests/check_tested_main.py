"""Pytest plugin: a run in a service's folder fails when the `main` that was tested is another one."""

import sys
from collections.abc import Generator
from pathlib import Path

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Fail the run unless `main` came from the folder that it was started in."""
    result = yield
    expected = Path.cwd() / "main.py"
    found = getattr(sys.modules.get("main"), "__file__", None)
    if found is None or Path(found).resolve() != expected.resolve():
        print(f"\nmain came from {found}, not from {expected}")
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
    return result
