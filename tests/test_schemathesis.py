"""Requests generated from both services' OpenAPI, valid and invalid: no 5xx, and only documented responses."""

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from harness.environment import clean_environment
from harness.openid_issuer import OpenIdIssuer
from harness.paths import BIN
from harness.system import Replica, System, running

pytestmark = pytest.mark.slow

RUN_SECONDS = 120.0
"""How long Schemathesis may take for one service."""

EXAMPLES_AN_OPERATION = 12
"""Requests generated for each operation: few enough for the time above."""

OPTIONS = [
    *("--seed", "1", "--max-examples", str(EXAMPLES_AN_OPERATION), "--generation-database", "none"),
    *("--checks", "all", "--continue-on-failure", "--no-color"),
    # `schemathesis_checks` replaces these two checks.
    *("--exclude-checks", "positive_data_acceptance,use_after_free"),
]


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system of its own: the generated requests write odd data."""
    with running(tmp_path_factory.mktemp("strange"), chats=1) as system:
        yield system


def assert_conforms(replica: Replica, folder: Path, headers: Mapping[str, str] | None = None) -> None:
    """Run Schemathesis with a fixed seed. It must find nothing, and the service must print no stack trace."""
    hooks = {"SCHEMATHESIS_HOOKS": "schemathesis_checks", "PYTHONPATH": str(Path(__file__).parent)}
    given = [option for name, value in (headers or {}).items() for option in ("--header", f"{name}: {value}")]
    run = subprocess.run(
        [str(BIN / "st"), "run", f"{replica.url}/openapi.json", *OPTIONS, *given],
        cwd=folder,
        env={**clean_environment(), **hooks},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    print(run.stdout, run.stderr)
    assert run.returncode == 0
    assert "Traceback" not in replica.app.log.read_text(errors="replace")


def test_the_memory_service_responds_as_documented(strange: System, tmp_path: Path) -> None:
    """Each response has a documented status, type and shape. Bad input is refused, valid input is accepted."""
    assert_conforms(strange.memories[0], tmp_path)


def test_the_chat_service_responds_as_documented(strange: System, tmp_path: Path) -> None:
    """Each response has a documented status, type and shape. Bad input is refused, valid input is accepted."""
    assert_conforms(strange.chats[0], tmp_path)


def test_the_chat_service_responds_as_documented_with_identity_on(tmp_path: Path) -> None:
    """The same with tokens. Schemathesis also leaves them out or changes them, and expects 401."""
    with OpenIdIssuer() as issuer, running(tmp_path, chats=1, env=issuer.env) as system:
        assert_conforms(system.chats[0], tmp_path, issuer.headers("ada"))
