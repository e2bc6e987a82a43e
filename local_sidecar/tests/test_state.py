"""State over HTTP: what the recordings do not show."""

import json
import resource
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sandbox import Sandbox, Sidecar, call, state_component


def test_one_of_many_writers_with_one_etag_wins(sandbox: Sandbox) -> None:
    """Of sixteen saves with one etag at once one succeeds and fifteen get 409; the same holds for creations."""
    sidecar = sandbox.sidecar("app")
    for etag in ("2147483647", "1"):
        entry = {"key": "a", "value": 1, "etag": etag, "options": {"concurrency": "first-write"}}
        with ThreadPoolExecutor(16) as threads:
            statuses = sorted(response.status for response in threads.map(sidecar.save, [entry] * 16))
        assert statuses == [204] + [409] * 15


def test_state_outlives_the_sidecar(sandbox: Sandbox) -> None:
    """What got a 204 is there after kill -9."""
    sidecar = sandbox.sidecar("app")
    assert sidecar.save({"key": "a", "value": {"n": 1}}).status == 204
    sidecar.process.kill()
    sidecar.process.wait()
    response = sandbox.sidecar("app").get("a")
    assert (response.body, response.headers["etag"]) == (b'{"n":1}', "1")


def test_apps_do_not_see_each_others_keys(sandbox: Sandbox) -> None:
    """Sidecars of one app id share their keys, and those of another do not see them."""
    first, second, other = (sandbox.sidecar(app_id) for app_id in ("app", "app", "other"))
    first.save({"key": "a", "value": 1})
    assert [sidecar.get("a").status for sidecar in (second, other)] == [200, 204]


def test_scopes_leave_an_app_without_a_store(sandbox: Sandbox) -> None:
    """An app outside the component's scopes has no store at all."""
    sandbox.write_component(state_component("state.redis", more="scopes: [app]\n"))
    assert sandbox.sidecar("app").get("a").status == 204
    response = sandbox.sidecar("other").get("a")
    assert (response.status, response.code) == (500, "ERR_STATE_STORE_NOT_CONFIGURED")


def _garbage(sandbox: Sandbox) -> None:
    sandbox.state_file.write_bytes(b"no database" * 1000)


def _folder(sandbox: Sandbox) -> None:
    sandbox.state_file.mkdir()


@pytest.mark.parametrize("in_its_place", [_garbage, _folder])
def test_redis_that_is_down(sandbox: Sandbox, in_its_place: Callable[[Sandbox], None]) -> None:
    """An unreadable file is 500, for saves with an etag and deletions 409, in bulk reads an error for each key."""
    sidecar = sandbox.sidecar("app")
    sidecar.save({"key": "a", "value": 1})
    with _spoiled(sandbox, in_its_place):
        assert _statuses(sidecar) == [500, 500, 409, 409]
        bulk = sidecar.bulk("a")
        assert bulk.status == 200
        assert b'"error":' in bulk.body
    assert _statuses(sidecar) == [200, 204, 409, 204]


def test_postgresql_that_is_down(sandbox: Sandbox) -> None:
    """Every call is 500, the bulk read as a whole."""
    sandbox.write_component(state_component("state.postgresql", "v2"))
    sidecar = sandbox.sidecar("app")
    sidecar.save({"key": "a", "value": 1})
    with _spoiled(sandbox, _garbage):
        assert _statuses(sidecar) == [500, 500, 500, 500]
        assert (sidecar.bulk("a").status, sidecar.bulk("a").code) == (500, "ERR_STATE_BULK_GET")
    assert _statuses(sidecar) == [200, 204, 409, 204]


def test_encrypted_object_is_lost(sandbox: Sandbox) -> None:
    """With an encryption key an object comes back as Go prints it, and JSON in a string as JSON."""
    key = f"{{name: primaryEncryptionKey, value: {'ab' * 16}}}"
    sandbox.write_component(state_component("state.postgresql", "v2", key))
    sidecar = sandbox.sidecar("app")
    sidecar.save({"key": "a", "value": {"name": "Ann"}}, {"key": "b", "value": '{"name": "Ann"}'})
    assert [sidecar.get(key).body for key in "ab"] == [b"map[name:Ann]", b'{"name": "Ann"}']


def test_metadata_names_the_store(sandbox: Sandbox) -> None:
    """The metadata holds type, version and capabilities of the component, and not its settings."""
    sandbox.write_component(state_component("state.postgresql", "v2", "{name: connectionString, value: secret}"))
    metadata = call(sandbox.sidecar("app").port, "GET", "/v1.0/metadata").body
    (component,) = json.loads(metadata)["components"]
    assert (component["name"], component["type"], component["version"]) == ("statestore", "state.postgresql", "v2")
    assert {"ETAG", "TRANSACTIONAL", "TTL"} <= set(component["capabilities"])
    assert b"secret" not in metadata


def test_full_disk_fails_only_what_finds_no_room(sandbox: Sandbox) -> None:
    """When the disk is full a large value gets 500, and small values and reads go on."""
    sidecar = sandbox.sidecar("app")
    sidecar.save({"key": "a", "value": 1})
    room = 512 * 1024  # of each file
    resource.prlimit(sidecar.process.pid, resource.RLIMIT_FSIZE, (room, room))
    assert sidecar.save({"key": "b", "value": "x" * (2 * room)}).status == 500
    assert sidecar.save({"key": "b", "value": 2}).status == 204
    assert [sidecar.get(key).body for key in ("a", "b")] == [b"1", b"2"]


@contextmanager
def _spoiled(sandbox: Sandbox, in_its_place: Callable[[Sandbox], None]) -> Iterator[None]:
    """Something else in the place of the state file, which is put back afterwards."""
    folder = sandbox.state_file.parent
    folder.rename(sandbox.folder / "kept")
    folder.mkdir()
    in_its_place(sandbox)
    yield
    folder.rename(sandbox.folder / "spoiled")
    (sandbox.folder / "kept").rename(folder)


def _statuses(sidecar: Sidecar) -> list[int]:
    """The statuses of a read, a save, a save with a wrong etag and a deletion."""
    return [
        sidecar.get("a").status,
        sidecar.save({"key": "b", "value": 1}).status,
        sidecar.save({"key": "b", "value": 1, "etag": "77"}).status,
        call(sidecar.port, "DELETE", "/v1.0/state/statestore/b").status,
    ]
