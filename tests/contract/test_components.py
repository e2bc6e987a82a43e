"""The resources folders: each is complete, and serves the memory service alone."""

from pathlib import Path

import pytest
import yaml

from local_sidecar.components import load_resources
from local_sidecar.state_components import state_components

COMPONENTS = Path(__file__).resolve().parent.parent.parent / "components"
STORES = {".": "redis", "postgres": "postgresql", "sqlite": "sqlite", "encrypted": "redis"}
"""The folders below `components` and the stores that they describe."""

folders = pytest.mark.parametrize("folder", STORES)


@folders
def test_memory_service_alone_has_the_store(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory service gets the one store `statestore`, and the chat service none."""
    monkeypatch.setenv("MEMORY_ENCRYPTION_KEY", "ab" * 32)
    (store,) = state_components(load_resources([COMPONENTS / folder], "agent-memory-service"))
    assert (store.component.name, store.dialect.name) == ("statestore", STORES[folder])
    assert store.encrypted == (folder == "encrypted")
    assert state_components(load_resources([COMPONENTS / folder], "chat-service")) == []


@folders
def test_folder_is_complete(folder: str) -> None:
    """A folder has the policy for calls to the memory service, and the sidecars' configuration."""
    documents = {file.name: _document(file) for file in (COMPONENTS / folder).glob("*.yaml")}
    assert documents["config.yaml"]["kind"] == "Configuration"
    assert documents["resiliency.yaml"] == _document(COMPONENTS / "resiliency.yaml")


@folders
def test_no_file_holds_two_documents(folder: str) -> None:
    """Dapr reads a Resiliency only when it is the first document of its file."""
    for file in (COMPONENTS / folder).glob("*.yaml"):
        assert len(list(yaml.safe_load_all(file.read_text()))) == 1, file


def _document(file: Path) -> dict[str, object]:
    document = yaml.safe_load(file.read_text())
    assert isinstance(document, dict)
    return document
