"""The recordings of Dapr with each kind of state store, replayed: the local sidecar responds in the same way.

Against another sidecar, Dapr's own above all:
    DAPR_BASE=http://127.0.0.1:3500    the sidecar under test
    DAPR_DIALECT=postgres              which recording its store is compared with
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from local_sidecars import REDIS, start_sidecar, state_component
from recorded_scenario import Target, play_all, scenarios

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


@pytest.fixture(scope="module", params=ASKED)
def dialect(request: pytest.FixtureRequest) -> str:
    """The kind of store, by the name of its recording."""
    return str(request.param)


@pytest.fixture(scope="module")
def found(dialect: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[str]]]:
    """The differences of each scenario."""
    with ExitStack() as stack:
        base = os.environ.get("DAPR_BASE")
        if base is None:
            folder = tmp_path_factory.mktemp(dialect)
            (folder / "secrets.json").write_text(f'{{"key": "{KEY}"}}')
            base = start_sidecar(folder, "rec-chat", None, COMPONENTS[dialect], stack)
        yield play_all(RECORDED[dialect], Target(base, "", "", "statestore"))


@pytest.mark.parametrize("scenario", RECORDED["redis"])
def test_responds_as_recorded(scenario: str, found: dict[str, list[str]]) -> None:
    """Status, headers and body of every exchange are those of Dapr with this store."""
    assert not found[scenario], "\n".join(found[scenario])
