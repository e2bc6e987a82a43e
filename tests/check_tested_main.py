"""Pytest plugin: fails a run in a service's folder when the tested module `main` is not that folder's.

The tutorial's tests do `from main import app`. Their own folder has a `main` too, and it could be imported instead.
"""

import sys
from collections.abc import Generator
from pathlib import Path

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Fail the run unless `main` was imported from the current folder."""
    result = yield
    expected = Path.cwd() / "main.py"
    found = getattr(sys.modules.get("main"), "__file__", None)
    if found is None or Path(found).resolve() != expected.resolve():
        print(f"\nmain was imported from {found}, not from {expected}")
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
    return result
