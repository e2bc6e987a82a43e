"""Data of this service's first version stays readable and writable, and its replicas may run beside this version's."""

import asyncio
from typing import cast

import pytest

from tests import first_version
from tests.fake_dapr import Commit
from tests.fake_time import run
from tests.fake_wire import JSON
from tests.service_under_test import Service
from tests.store_checks import check_store

HOURS_SECONDS = 2 * 60 * 60
PAGE_ENTRIES = 12


@pytest.fixture
def service(service: Service) -> Service:
    """The service over a store that the first version has written."""
    first_version.seed(service.dapr)
    return service


def head(service: Service, key: str) -> dict[str, JSON]:
    value = service.dapr.value(key)
    assert isinstance(value, dict)
    return value


def message(turn: str) -> dict[str, JSON]:
    return {"role": "user", "content": turn, "timestamp": "2026-01-01T00:00:00+00:00", "turn_id": turn}


def test_its_sessions_are_read_continued_and_repeated(service: Service) -> None:
    """A long session is read whole; a repeated turn is found, also one of the last 128; turns are added."""

    async def scenario() -> None:
        expected = [f"t{number}.{part}" for number in range(150) for part in range(2)]
        assert await service.contents("long") == expected
        for turn in ("t149", "t22"):
            response = await service.append("long", turn, "again", user="ann")
            assert (response.status_code, response.headers.get("idempotent-replayed")) == (200, "true")
        for number in range(40):
            assert (await service.append("long", f"n{number}", f"n{number}", user="ann")).status_code == 201
        assert await service.contents("long") == [*expected, *(f"n{number}" for number in range(40))]
        assert (await service.append("long", "t149", "again", user="ann")).status_code == 200
        assert (await service.append("long", "x", "x", user="bob")).status_code == 403

    run(scenario())


def test_its_lists_and_profiles_are_read_and_continued(service: Service) -> None:
    """The list has the newest session first; a new one is added; the profile is changed."""

    async def scenario() -> None:
        await service.append("new", "t", "hello", user="ann")
        listed = (await service.http.get("/memories/ann/conversations?limit=100")).json()["conversations"]
        assert [item["session_id"] for item in listed] == ["new", *(f"s{n}" for n in range(14, -1, -1)), "long"]
        changed = (await service.http.patch("/memories/ann", json={"goal": "learn"})).json()
        assert changed == {"name": "Ann", "preferred_style": "formal", "goal": "learn"}

    run(scenario())


def test_what_it_left_to_sweep_is_swept(service: Service) -> None:
    """Its heads and tombstones name epochs in `was`. Whoever meets one puts them on the due list, and the name goes."""

    async def scenario() -> None:
        late: list[str] = []
        for key in ("session:replaced", "session:deleted", "sessions-of:fay"):
            ((epoch, pages),) = cast(list[tuple[str, int]], head(service, key)["was"])
            late += [f"{key}:{epoch}:{number}" for number in range(pages)]
        for key in late:
            service.dapr.seed(key, {"history": []})
        await service.memory.start()
        assert (await service.append("replaced", "t", "x", user="bob")).status_code == 201
        assert (await service.append("deleted", "t", "x", user="bob")).status_code == 410
        await service.append("f-more", "t", "x", user="fay")
        await asyncio.sleep(HOURS_SECONDS)
        assert not set(late) & service.dapr.values().keys()
        assert all("was" not in head(service, key) for key in ("session:replaced", "session:deleted"))
        assert "was" not in head(service, "sessions-of:fay")
        expires = {key: service.dapr.entries[key].expires_at for key in ("session:replaced", "sessions-of:fay")}
        assert expires == {"session:replaced": None, "sessions-of:fay": None}
        assert service.dapr.entries["session:deleted"].expires_at is not None

    run(scenario())


@pytest.mark.parametrize(
    "user", ["ann", *(pytest.param(user, marks=pytest.mark.slow) for user in ("bob", "eve", "fay"))]
)
def test_its_users_are_erased(service: Service, user: str) -> None:
    """Also eve, whose list is still a tombstone with entries, and fay, who came back."""

    async def scenario() -> None:
        await service.memory.start()
        assert (await service.http.delete(f"/memories/{user}")).status_code == 204
        listed = head(service, f"sessions-of:{user}")
        assert (listed["deleted"], listed["history"]) == (True, [])
        mine = [value for value in service.dapr.values().values() if isinstance(value, dict)]
        assert not [value for value in mine if value.get("owner") == user]
        await asyncio.sleep(HOURS_SECONDS)
        assert not [key for key in service.dapr.values() if key.startswith(f"sessions-of:{user}:")]

    run(scenario())


def test_a_list_that_it_left_to_sweep_is_swept_once_its_user_comes_back(service: Service) -> None:
    """The list of eve is still a tombstone that names its pages."""

    async def scenario() -> None:
        epochs = cast(list[tuple[str, int]], head(service, "sessions-of:eve")["was"])
        pages = [f"sessions-of:eve:{epoch}:{number}" for epoch, count in epochs for number in range(count)]
        assert pages
        for key in pages:
            service.dapr.seed(key, {"history": []})
        await service.memory.start()
        assert (await service.append("e-more", "t", "x", user="eve")).status_code == 201
        await asyncio.sleep(HOURS_SECONDS)
        assert not set(pages) & service.dapr.values().keys()

    run(scenario())


def test_its_tombstones_expire_no_more_once_they_are_revived(service: Service) -> None:
    """It gave tombstones of profiles and lists a day to live. What is written over them lives on."""

    async def scenario() -> None:
        service.dapr.seed("user:gil", {})
        service.dapr.seed("sessions-of:gil", {"history": [], "sealed": 0, "epoch": "ab", "deleted": True})
        for key in ("user:gil", "sessions-of:gil"):
            service.dapr.entries[key].expires_at = service.dapr.clock() + 100
        await service.http.patch("/memories/gil", json={"goal": "learn"})
        await service.append("g", "t", "hello", user="gil")
        await asyncio.sleep(HOURS_SECONDS)
        assert head(service, "user:gil")["goal"] == "learn"
        listed = (await service.http.get("/memories/gil/conversations")).json()["conversations"]
        assert [item["session_id"] for item in listed] == ["g"]

    run(scenario())


def test_both_versions_append_in_turn(service: Service) -> None:
    """It carries this version's fields along and seals more pages than they announce. No turn and no page is lost."""

    async def scenario() -> None:
        await service.memory.start()
        expected: list[str] = []
        for number in range(150):
            turn = f"t{number}"
            if number % 7 < 3 or number == 0:
                assert (await service.append("both", turn, turn, user="ann")).status_code == 201
            else:
                first_version.append(service.dapr, "session:both", turn, [message(turn)])
            expected.append(turn)
        assert await service.contents("both") == expected
        repeated = await service.append("both", "t120", "again", user="ann")
        assert (repeated.status_code, repeated.json()["seq"]) == (200, 120)
        await service.http.post("/conversations/both", json={"history": []})
        await asyncio.sleep(HOURS_SECONDS)
        assert not [key for key in service.dapr.values() if key.startswith("session:both:")]

    run(scenario())


def test_a_page_that_it_sealed_and_did_not_count_is_swept(service: Service) -> None:
    """Its replica dies between a page and the head, one page beyond those that this version announced."""

    async def scenario() -> None:
        for number in range(40):
            await service.append("both", f"t{number}", f"t{number}", user="ann")
        for number in range(40, 54):
            first_version.append(service.dapr, "session:both", f"t{number}", [message(f"t{number}")])
        found = head(service, "session:both")
        number = int(str(found["sealed"])) // PAGE_ENTRIES
        service.dapr.seed(f"session:both:{found['epoch']}:{number}", {"history": []})
        assert (await service.http.delete("/conversations/both?user_id=ann")).status_code == 204
        assert not [key for key in service.dapr.values() if key.startswith("session:both:")]

    run(scenario())


def test_it_adds_to_a_list_that_is_being_erased(service: Service) -> None:
    """Its append drops the field that froze the list. The erase goes on, and its entry stays."""

    entry: dict[str, JSON] = {"session_id": "late", "timestamp": "2026-01-01T00:00:00+00:00", "turn_id": "ab"}

    def add_once_frozen(commit: Commit) -> None:
        if commit.key == "sessions-of:ann" and "erasing" in str(commit.data):
            first_version.append(service.dapr, "sessions-of:ann", "ab", [entry], keeps_fields=False)

    async def scenario() -> None:
        await service.memory.start()
        service.dapr.on_commit.append(add_once_frozen)
        assert (await service.http.delete("/memories/ann")).status_code == 204
        kept = head(service, "sessions-of:ann")["history"]
        assert kept == [entry]
        await asyncio.sleep(HOURS_SECONDS)
        check_store_of_ann(service)

    run(scenario())


def check_store_of_ann(service: Service) -> None:
    """Only ann's new list and tombstones are left of her."""
    for key in list(service.dapr.entries):
        if not key.startswith(("session:s", "session:long", "sessions-of:ann", "due:")):
            del service.dapr.entries[key]
    check_store(service.dapr, PAGE_ENTRIES, nothing_is_due=True)
