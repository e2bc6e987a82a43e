"""Which components are served, and how their values and keys are found."""

import json
from pathlib import Path

import pytest
from sandbox import state_component

from local_sidecar.components import ResourcesError, load_resources
from local_sidecar.state.encodings import GO_JSON, GO_PRINT
from local_sidecar.state_components import StateComponent, state_components

KEY = "0123456789abcdef" * 4
ENVIRONMENT = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: secrets}
spec: {type: secretstores.local.env, version: v1, metadata: [{name: prefix, value: SIDE_}]}
"""
FROM_SECRET = "{name: primaryEncryptionKey, secretKeyRef: {name: KEY}}"
AUTH = "auth: {secretStore: secrets}\n"


def stores_of(folder: Path, *documents: str) -> list[StateComponent]:
    """The stores of a folder with these documents, for the app `app`."""
    (folder / "components.yaml").write_text("---\n".join(documents))
    return state_components(load_resources([folder], "app"))


@pytest.mark.parametrize(
    ("kind", "version", "name"),
    [
        ("state.redis", "v1", "redis"),
        ("state.postgresql", "v2", "postgresql"),
        ("state.postgres", "v2", "postgresql"),
        ("state.sqlite", "v1", "sqlite"),
        ("state.in-memory", "v1", "in-memory"),
        ("state.mysql", "v1", "mysql"),
    ],
)
def test_dialect_follows_the_type(tmp_path: Path, kind: str, version: str, name: str) -> None:
    """A store behaves as its type and version say, and is named so in the metadata."""
    (store,) = stores_of(tmp_path, state_component(kind, version))
    assert (store.dialect.name, store.component.type, store.component.version) == (name, kind, version)


@pytest.mark.parametrize(
    ("kind", "version"), [("state.mongodb", "v1"), ("state.postgresql", "v1"), ("state.redis", "v2")]
)
def test_other_stores_are_refused(tmp_path: Path, kind: str, version: str) -> None:
    """The one sentence names the store and those that are served."""
    with pytest.raises(
        ResourcesError, match=rf"{kind} of version {version} is not served here, only state\.redis \(v1\)"
    ):
        stores_of(tmp_path, state_component(kind, version))


def test_store_outside_the_scopes_is_not_looked_at(tmp_path: Path) -> None:
    """A store for other apps is not refused."""
    assert stores_of(tmp_path, state_component("state.mongodb", more="scopes: [other]\n")) == []


def test_two_components_of_one_name_are_refused(tmp_path: Path) -> None:
    """The sentence names the component, also when its two files lie in two folders."""
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        (folder / "store.yaml").write_text(state_component("state.redis"))
    with pytest.raises(ResourcesError, match="two components are named statestore"):
        load_resources([tmp_path / "one", tmp_path / "two"], "app")


def test_folders_in_the_resources_folder_are_not_read(tmp_path: Path) -> None:
    """As in Dapr, only the files of the folder itself are resources."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "store.yaml").write_text(state_component("state.sqlite"))
    assert [store.dialect.name for store in stores_of(tmp_path, state_component("state.redis"))] == ["redis"]


def test_encryption_key_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secretKeyRef to `secretstores.local.env` is the variable of that name after the store's prefix."""
    monkeypatch.setenv("SIDE_KEY", KEY)
    (store,) = stores_of(tmp_path, state_component("state.sqlite", metadata=FROM_SECRET, more=AUTH), ENVIRONMENT)
    assert store.encrypted
    assert store.dialect.encoding is GO_PRINT


@pytest.mark.parametrize(
    ("secrets", "settings", "reference"),
    [
        ({"KEY": KEY}, "", "{name: KEY}"),
        ({"dapr": {"keys": [KEY]}}, "", "{name: 'dapr:keys:0'}"),
        ({"dapr": {"key": KEY}}, ", {name: nestedSeparator, value: .}", "{name: dapr.key, key: dapr.key}"),
        ({"dapr": {"key": KEY}}, ", {name: multiValued, value: 'true'}", "{name: dapr, key: key}"),
    ],
)
def test_encryption_key_from_a_file(tmp_path: Path, secrets: object, settings: str, reference: str) -> None:
    """A secretKeyRef to `secretstores.local.file` is the value at its path in the JSON file."""
    file = tmp_path / "secrets.json"
    file.write_text(json.dumps(secrets))
    metadata = f"[{{name: secretsFile, value: {file}}}{settings}]"
    kind = f"spec: {{type: secretstores.local.file, version: v1, metadata: {metadata}}}"
    document = f"kind: Component\nmetadata: {{name: secrets}}\n{kind}\n"
    key = f"{{name: primaryEncryptionKey, secretKeyRef: {reference}}}"
    (store,) = stores_of(tmp_path, state_component("state.redis", metadata=key, more=AUTH), document)
    assert store.encrypted


@pytest.mark.parametrize("given", ["envRef: SIDE_KEY", f"value: {KEY}"])
def test_encryption_key_without_a_secret_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """A key by value or envRef is taken, with a note that Dapr itself would not encrypt."""
    monkeypatch.setenv("SIDE_KEY", KEY)
    (tmp_path / "store.yaml").write_text(
        state_component("state.redis", metadata=f"{{name: primaryEncryptionKey, {given}}}")
    )
    resources = load_resources([tmp_path], "app")
    assert state_components(resources)[0].encrypted
    assert "Dapr itself takes primaryEncryptionKey from a secretKeyRef only" in resources.notes[-1]


@pytest.mark.parametrize(
    ("key", "auth", "problem"),
    [("", AUTH, "is empty"), (KEY, "", "is empty"), ("abc", AUTH, "hexadecimal"), (KEY[:30], AUTH, "hexadecimal")],
)
def test_encryption_key_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, auth: str, problem: str
) -> None:
    """A key that is missing, not hexadecimal or of another size is refused when the sidecar starts."""
    monkeypatch.setenv("SIDE_KEY", key)
    with pytest.raises(ResourcesError, match=f"primaryEncryptionKey.* {problem}"):
        stores_of(tmp_path, state_component("state.redis", metadata=FROM_SECRET, more=auth), ENVIRONMENT)


def test_tokens_of_dapr_are_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in Dapr, no component can read the API tokens."""
    monkeypatch.setenv("DAPR_API_TOKEN", KEY)
    key = "{name: primaryEncryptionKey, envRef: DAPR_API_TOKEN}"
    with pytest.raises(ResourcesError, match="is empty"):
        stores_of(tmp_path, state_component("state.redis", metadata=key))


def test_other_values_may_be_missing(tmp_path: Path) -> None:
    """Settings of a server that is not used here need not be there."""
    metadata = "{name: redisPassword, secretKeyRef: {name: PASSWORD}}"
    (store,) = stores_of(tmp_path, state_component("state.redis", metadata=metadata))
    assert not store.encrypted
    assert store.dialect.encoding is not GO_JSON
