"""State over HTTP: what the recordings do not hold."""

import resource
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sidecar_process import House, Sidecar, call


def test_one_of_many_writers_with_one_etag_wins(house: House) -> None:
    """Sixteen saves with the same etag at once: one 204, fifteen 409; so for creations."""
    sidecar = house.sidecar("app")
    for etag in ("2147483647", "1"):
        entry = {"key": "a", "value": 1, "etag": etag, "options": {"concurrency": "first-write"}}
        with ThreadPoolExecutor(16) as threads:
            statuses = sorted(reply.status for reply in threads.map(sidecar.save, [entry] * 16))
        assert statuses == [204] + [409] * 15


def test_state_outlives_the_sidecar(house: House) -> None:
    """What was answered with 204 is there after kill -9."""
    sidecar = house.sidecar("app")
    assert sidecar.save({"key": "a", "value": {"n": 1}}).status == 204
    sidecar.process.kill()
    sidecar.process.wait()
    reply = house.sidecar("app").get("a")
    assert (reply.body, reply.headers["etag"]) == (b'{"n":1}', "1")


def test_apps_do_not_see_each_others_keys(house: House) -> None:
    """Keys are per app id; sidecars of one app id share them."""
    first, second, other = (house.sidecar(app_id) for app_id in ("app", "app", "other"))
    first.save({"key": "a", "value": 1})
    assert [sidecar.get("a").status for sidecar in (second, other)] == [200, 204]


def test_scopes_leave_an_app_without_a_store(house: House) -> None:
    """An app outside the component's scopes has no store at all."""
    component = house.folder / "components" / "statestore.yaml"
    component.write_text(component.read_text() + "scopes: [app]\n")
    assert house.sidecar("app").get("a").status == 204
    reply = house.sidecar("other").get("a")
    assert (reply.status, reply.code) == (500, "ERR_STATE_STORE_NOT_CONFIGURED")


def _garbage(house: House) -> None:
    house.state.write_bytes(b"no database" * 1000)


def _folder(house: House) -> None:
    house.state.mkdir()


@pytest.mark.parametrize("in_its_place", [_garbage, _folder])
def test_failing_store_is_told_as_by_dapr(house: House, in_its_place: Callable[[House], None]) -> None:
    """Unreadable file: 500, with an etag and for deletions 409, an error for each item; mended: as before."""
    sidecar = house.sidecar("app")
    sidecar.save({"key": "a", "value": 1})
    house.state.parent.rename(house.folder / "kept")
    house.state.parent.mkdir()
    in_its_place(house)
    assert _statuses(sidecar) == [500, 500, 409, 409]
    assert b'"error":' in call(sidecar.port, "POST", "/v1.0/state/statestore/bulk", {"keys": ["a"]}).body
    house.state.parent.rename(house.folder / "spoiled")
    (house.folder / "kept").rename(house.state.parent)
    assert _statuses(sidecar) == [200, 204, 409, 204]


def test_full_disk_fails_only_what_finds_no_room(house: House) -> None:
    """A large value is refused with 500, a small one and reading go on."""
    sidecar = house.sidecar("app")
    sidecar.save({"key": "a", "value": 1})
    room = 512 * 1024  # of each file
    resource.prlimit(sidecar.process.pid, resource.RLIMIT_FSIZE, (room, room))
    assert sidecar.save({"key": "b", "value": "x" * (2 * room)}).status == 500
    assert sidecar.save({"key": "b", "value": 2}).status == 204
    assert [sidecar.get(key).body for key in ("a", "b")] == [b"1", b"2"]


def _statuses(sidecar: Sidecar) -> list[int]:
    """Of a read, a save, a save with a wrong etag and a deletion."""
    return [
        sidecar.get("a").status,
        sidecar.save({"key": "b", "value": 1}).status,
        sidecar.save({"key": "b", "value": 1, "etag": "77"}).status,
        call(sidecar.port, "DELETE", "/v1.0/state/statestore/b").status,
    ]
