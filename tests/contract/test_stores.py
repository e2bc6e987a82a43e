"""The recordings of Dapr with each kind of state store, replayed: the local sidecar responds in the same way.

Against another sidecar, Dapr's own above all:
    DAPR_BASE=http://127.0.0.1:3500    the sidecar under test
    DAPR_DIALECT=postgres              which recording its store is compared with
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.contract.local_sidecars import REDIS, start_sidecar, state_component
from tests.contract.recorded_scenario import Target, play_all, scenarios

KEY = "0123456789abcdef" * 4
SECRETS = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: secrets}
spec: {type: secretstores.local.file, version: v1, metadata: [{name: secretsFile, value: secrets.json}]}
"""
ENCRYPTED = state_component("state.redis", metadata="{name: primaryEncryptionKey, secretKeyRef: {name: key}}")

COMPONENTS: dict[str, Sequence[str]] = {
    "redis": [REDIS],
    "postgres": [state_component("state.postgresql", "v2")],
    "sqlite": [state_component("state.sqlite")],
    "in-memory": [state_component("state.in-memory")],
    "mysql": [state_component("state.mysql")],
    "redis-encrypted": [f"{ENCRYPTED}auth: {{secretStore: secrets}}\n", SECRETS],
}
RECORDED = {dialect: scenarios(Path(__file__).parent / "stores" / f"{dialect}.jsonl") for dialect in COMPONENTS}
ASKED = [os.environ["DAPR_DIALECT"]] if "DAPR_DIALECT" in os.environ else list(COMPONENTS)


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[str]]]:
    """The differences of each scenario with each store. All are played at once, as most of their time is waiting."""
    with ExitStack() as stack, ThreadPoolExecutor(len(ASKED)) as threads:
        bases = [_base(dialect, tmp_path_factory.mktemp(dialect), stack) for dialect in ASKED]
        targets = [Target(base, "", "", "statestore") for base in bases]
        return dict(zip(ASKED, threads.map(play_all, [RECORDED[dialect] for dialect in ASKED], targets), strict=True))


@pytest.mark.parametrize("dialect", ASKED)
@pytest.mark.parametrize("scenario", RECORDED["redis"])
def test_responds_as_recorded(dialect: str, scenario: str, found: dict[str, dict[str, list[str]]]) -> None:
    """Status, headers and body of every exchange are those of Dapr with this store."""
    assert not found[dialect][scenario], "\n".join(found[dialect][scenario])


def _base(dialect: str, folder: Path, stack: ExitStack) -> str:
    """The sidecar that the environment names, or a local one."""
    if base := os.environ.get("DAPR_BASE"):
        return base
    (folder / "secrets.json").write_text(f'{{"key": "{KEY}"}}')
    return start_sidecar(folder, "rec-chat", None, COMPONENTS[dialect], stack)
