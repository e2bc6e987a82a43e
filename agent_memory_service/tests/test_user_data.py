"""What is stored of a user: the profile and the list of sessions. An erase removes all of it."""

import asyncio
import json
from datetime import UTC, datetime

import httpx
import pytest

import list_compaction
from list_compaction import COMPACT_AFTER
from log.page_plan import Head
from tests.fake_clients import Fault, named
from tests.fake_time import STARTED_AT, run, skip
from tests.fake_wire import JSON
from tests.service_under_test import Service

MINUTE_SECONDS = 60
HOUR_SECONDS = 60 * MINUTE_SECONDS
DAY_SECONDS = 24 * HOUR_SECONDS
PROFILE = {"name": "Ann", "preferred_style": "formal", "goal": "plan"}


def listed(session: str, age_seconds: float) -> JSON:
    """An entry of a list that was added so long ago."""
    then = datetime.fromtimestamp(STARTED_AT - age_seconds, UTC).isoformat()
    return {"session_id": session, "timestamp": then, "turn_id": f"of {session}"}


def test_a_profile_can_be_initialized_again_after_a_change(service: Service) -> None:
    """PATCH writes by etag and initialize without one. Dapr accepts both, in any order."""

    async def scenario() -> None:
        for _ in range(2):
            assert (await service.http.patch("/memories/u", json={"goal": "learn"})).status_code == 200
            assert (await service.http.post("/memories/u/initialize", json=PROFILE)).status_code == 200
            assert (await service.http.get("/memories/u")).json() == PROFILE

    run(scenario())


def test_sessions_are_listed_newest_first_by_pages(service: Service) -> None:
    """Every session is listed once, also a replaced one. A deleted one is not listed."""

    async def scenario() -> None:
        for number in range(45):
            await service.append(f"s{number}", "t", f"hello {number}", "hi")
        await service.http.delete("/conversations/s44")
        await service.http.post("/conversations/s3", json={"history": []})
        found, page = [], (await service.http.get("/memories/u/conversations?limit=10")).json()
        while page:
            found += [(item["session_id"], item["messages"], item["first_words"]) for item in page["conversations"]]
            query = f"?limit=10&before={page['before']}"
            page = page["before"] and (await service.http.get(f"/memories/u/conversations{query}")).json()
        assert found == [(f"s{n}", 2, f"hello {n}") if n != 3 else ("s3", 0, "") for n in range(43, -1, -1)]

    run(scenario())


@pytest.mark.parametrize(
    ("head", "dead"),
    [
        (Head(), False),  # a turn may be about to make it this user's
        (Head(fields={"owner": "u", "listed": "of s"}), False),
        (Head(fields={"owner": "u", "listed": "another"}), True),
        (Head(fields={"owner": "v", "listed": "of s"}), True),
        (Head(deleted=True), True),
    ],
)
def test_an_entry_is_dead_once_it_can_never_count(head: Head, dead: bool) -> None:
    """Only then a compaction may remove it: a session that is in no list would never be erased."""

    async def scenario() -> None:
        entry = {"session_id": "s", "timestamp": datetime.fromtimestamp(STARTED_AT, UTC).isoformat(), "turn_id": "of s"}
        assert list_compaction.is_dead(entry, head, "u") is dead

    run(scenario())


def test_a_list_that_is_written_anew_between_two_reads_is_read_from_the_start(service: Service) -> None:
    """The entries have other numbers then: what was found before would be found again."""

    async def scenario() -> None:
        for number in range(60):
            await service.append(f"s{number}", "t", "hello")
        for number in range(20, 59):
            await service.http.delete(f"/conversations/s{number}")
        log = service.memory.sessions._log
        read = await log.read("sessions-of:u", lambda head: (0, head.total))
        assert read is not None
        reads: list[str] = []

        def compact(request: httpx.Request) -> Fault:
            reads.append(named(request))
            if reads.count("get sessions-of:u") == 2 and reads[-1] == "get sessions-of:u":
                live: list[JSON] = [dict(entry) for entry in (*read.entries[:20], read.entries[59])]
                service.dapr.seed("sessions-of:u", {"history": live, "sealed": 0, "epoch": "compacted"})
            return Fault.NONE

        service.sidecar.faults = compact
        page = (await service.http.get("/memories/u/conversations?limit=10")).json()
        sessions = [item["session_id"] for item in page["conversations"]]
        assert sessions == ["s59", *(f"s{number}" for number in range(19, 10, -1))]

    run(scenario())


def test_nothing_is_remembered_of_lists_without_dead_entries(service: Service) -> None:
    """However many users list their sessions."""

    async def scenario() -> None:
        for user in ("u", "v"):
            await service.append(f"of-{user}", "t", "hello", user=user)
            await service.http.get(f"/memories/{user}/conversations")
        assert not service.memory.sessions._compactor._dead

    run(scenario())


def test_a_page_of_an_erased_list_that_lands_late_is_no_page_of_the_next_list(service: Service) -> None:
    """It was on its way while the user was erased, and lands when the user has as many sessions again."""

    async def scenario() -> None:
        for number in range(45):
            await service.append(f"old{number}", "t", "hello")
        pages = {key: it for key, it in service.dapr.values().items() if key.startswith("sessions-of:u:")}
        assert pages
        assert (await service.http.delete("/memories/u")).status_code == 204
        for number in range(45):
            await service.append(f"new{number}", "t", "hello")
        for key, page in pages.items():
            service.dapr.seed(key, page)
        found = (await service.http.get("/memories/u/conversations?limit=100")).json()["conversations"]
        assert [item["session_id"] for item in found] == [f"new{number}" for number in range(44, -1, -1)]

    run(scenario())


def test_a_cursor_is_stale_once_its_data_was_replaced(service: Service) -> None:
    """A cursor of a replaced history or of an erased list is 409; one without an epoch is valid in any."""

    async def scenario() -> None:
        for number in range(3):
            await service.append(f"s{number}", "t", "hello", "hi")
        history = (await service.http.get("/conversations/s0?last=1")).json()["before"]
        sessions = (await service.http.get("/memories/u/conversations?limit=1")).json()["before"]
        await service.http.post("/conversations/s0", json={"history": []})
        stale = await service.http.get(f"/conversations/s0?before={history}")
        assert (stale.status_code, stale.json()["code"]) == (409, "history_replaced")
        assert (await service.http.get(f"/conversations/s0?before={history.split('-')[0]}")).status_code == 200
        await service.http.delete("/memories/u")
        await service.append("new", "t", "hello")
        stale = await service.http.get(f"/memories/u/conversations?before={sessions}")
        assert (stale.status_code, stale.json()["code"]) == (409, "history_replaced")
        assert (await service.http.get("/memories/u/conversations?before=9")).status_code == 200

    run(scenario())


def test_a_session_emptied_and_continued_is_listed(service: Service) -> None:
    """Its first words are those of its new first message."""

    async def scenario() -> None:
        await service.append("s", "t1", "old")
        await service.http.post("/conversations/s", json={"history": []})
        await service.append("s", "t2", "new")
        (item,) = (await service.http.get("/memories/u/conversations")).json()["conversations"]
        assert (item["messages"], item["first_words"]) == (1, "new")

    run(scenario())


def test_an_export_holds_all_and_an_erase_leaves_nothing(service: Service) -> None:
    """After an erase there are empty tombstones, after a day no session's. Another user's data stays."""

    async def scenario() -> None:
        await service.memory.start()
        await service.http.post("/memories/u/initialize", json=PROFILE)
        for number in range(100):
            await service.append(f"s{number % 3}", f"t{number}", f"secret {number}", f"secret answer {number}")
        await service.append("other", "t", "kept", user="v")
        export = (await service.http.get("/memories/u/export")).json()
        assert export["profile"] == PROFILE
        messages = [entry["content"] for session in export["conversations"] for entry in session["history"]]
        assert sorted(messages) == sorted(f"secret{answer} {n}" for n in range(100) for answer in ("", " answer"))
        assert (await service.http.delete("/memories/u")).status_code == 204
        left = json.dumps(service.dapr.values())
        assert "secret" not in left
        assert "plan" not in left
        assert (await service.append("s1", "t-late", "late")).status_code == 410
        assert (await service.http.delete("/memories/u")).status_code == 204
        await asyncio.sleep(2 * HOUR_SECONDS)
        await skip(DAY_SECONDS)
        await asyncio.sleep(MINUTE_SECONDS)
        left_after_a_day = {key: value for key, value in service.dapr.values().items() if "v" not in key}
        assert left_after_a_day.keys() == {"session:other", "user:u", "sessions-of:u", "due:done"}
        assert left_after_a_day["user:u"] == {}
        listed = left_after_a_day["sessions-of:u"]
        assert isinstance(listed, dict)
        assert (listed["deleted"], listed["history"]) == (True, [])
        assert await service.contents("other") == ["kept"]

    run(scenario())


def test_a_user_is_someone_new_after_an_erase(service: Service) -> None:
    """The profile is the default one, and the list has only the sessions started since."""

    async def scenario() -> None:
        await service.http.post("/memories/u/initialize", json=PROFILE)
        await service.append("old", "t", "old")
        await service.http.delete("/memories/u")
        await service.append("new", "t", "new")
        default = {"name": "u", "preferred_style": "casual", "goal": "chat"}
        assert (await service.http.get("/memories/u")).json() == default
        listed = (await service.http.get("/memories/u/conversations")).json()["conversations"]
        assert [item["session_id"] for item in listed] == ["new"]
        await skip(DAY_SECONDS + MINUTE_SECONDS)
        listed = (await service.http.get("/memories/u/conversations")).json()["conversations"]
        assert [item["session_id"] for item in listed] == ["new"]

    run(scenario())


def test_a_session_is_its_owners(service: Service) -> None:
    """Another user's turn, read, summary or delete is 403 and changes nothing."""

    async def scenario() -> None:
        await service.append("s", "t", "mine")
        epoch = (await service.http.get("/conversations/s?last=1")).json()["epoch"]
        summary = {"text": "mine", "through": 1, "epoch": epoch}
        refused = [
            await service.append("s", "t2", "theirs", user="v"),
            await service.append("s", "t", "mine", user="v"),
            await service.http.get("/conversations/s?user_id=v"),
            await service.http.get("/conversations/s?last=2&user_id=v"),
            await service.http.delete("/conversations/s?user_id=v"),
            await service.http.put("/conversations/s/summary?user_id=v", json=summary | {"text": "theirs"}),
        ]
        assert [(response.status_code, response.json()["code"]) for response in refused] == [(403, "not_owner")] * 6
        assert (await service.http.put("/conversations/s/summary?user_id=u", json=summary)).status_code == 200
        assert await service.contents("s", "?last=2&user_id=u") == ["mine"]

    run(scenario())


def test_a_history_is_read_with_its_owner(service: Service) -> None:
    """The session is not there when u asks, and v's first turn comes: whatever u gets, it is not v's."""

    async def scenario() -> None:
        read = service.sidecar.handle_async_request
        other = service.another_replica()

        async def read_and_append(request: httpx.Request) -> httpx.Response:
            response = await read(request)
            if named(request) == "get session:s":
                await other.append("s", "t", "v's secret", user="v")
            return response

        service.sidecar.handle_async_request = read_and_append  # type: ignore[method-assign]
        assert (await service.http.get("/conversations/s?user_id=u")).json()["history"] == []
        assert (await service.http.get("/conversations/s?user_id=u")).status_code == 403

    run(scenario())


def test_a_session_without_an_owner_is_nobodys_if_an_owner_is_required(service: Service) -> None:
    """What the tutorial's code wrote is not read, claimed, summarized or deleted. A new session is not refused."""

    async def scenario() -> None:
        await service.http.post("/conversations/s", json={"history": [{"role": "user", "content": "secret"}]})
        epoch = (await service.http.get("/conversations/s?last=1")).json()["epoch"]
        before = service.dapr.values()
        strict = "user_id=u&owner_required=true"
        turn = {"turn_id": "t", "user_id": "u", "owner_required": True, "entries": [{"role": "user", "content": "a"}]}
        refused = [
            await service.http.get(f"/conversations/s?{strict}"),
            await service.http.get(f"/conversations/s?last=2&{strict}"),
            await service.http.get("/memories/u/recall?session_id=s&owner_required=true"),
            await service.http.delete(f"/conversations/s?{strict}"),
            await service.http.post("/conversations/s/turns", json=turn),
            await service.http.put(
                f"/conversations/s/summary?{strict}", json={"text": "x", "through": 1, "epoch": epoch}
            ),
        ]
        assert [(response.status_code, response.json()["code"]) for response in refused] == [(403, "not_owner")] * 6
        assert service.dapr.values() == before
        assert (await service.http.get(f"/conversations/new?last=2&{strict}")).status_code == 200
        assert (await service.http.post("/conversations/new/turns", json=turn)).status_code == 201
        assert await service.contents("new", f"?{strict}") == ["a"]
        assert (await service.append("s", "t", "claimed")).status_code == 201

    run(scenario())


def test_an_id_that_is_not_utf8_in_a_path_is_refused(service: Service) -> None:
    """The bytes ff and fe of a path both decode to U+FFFD: two users would be one."""

    async def scenario() -> None:
        for path in ("/memories/%ff", "/memories/a%fe", "/conversations/%ff", "/memories/%EF%BF%BD"):
            assert (await service.http.get(path)).status_code == 422

    run(scenario())


@pytest.mark.slow
def test_a_list_stays_cheap_after_many_deletions(service: Service) -> None:
    """Of 400 sessions all but 5 are deleted. A list then reads few keys more than it has sessions."""
    read: list[int] = []

    def see(request: httpx.Request) -> Fault:
        read.append(len(json.loads(request.content)["keys"]) if request.url.path.endswith("/bulk") else 1)
        return Fault.NONE

    async def scenario() -> None:
        for number in range(400):
            await service.append(f"s{number}", "t", "hello")
        for number in range(5, 400):
            await service.http.delete(f"/conversations/s{number}?user_id=u")
        await asyncio.sleep(60)
        service.sidecar.faults = see
        listed = (await service.http.get("/memories/u/conversations?limit=5")).json()["conversations"]
        assert [item["session_id"] for item in listed] == [f"s{number}" for number in range(4, -1, -1)]
        assert sum(read) < 2 * COMPACT_AFTER

    run(scenario())


@pytest.mark.slow
def test_a_reader_that_meets_dead_entries_removes_them(service: Service) -> None:
    """Another process deleted the sessions. The first list removes most of them, and the next is cheap."""

    async def scenario() -> None:
        for number in range(400):
            await service.append(f"s{number}", "t", "hello")
        for number in range(5, 400):
            service.dapr.seed(f"session:s{number}", {"history": [], "epoch": "a", "deleted": True})
        service.dapr.calls.clear()
        for most_calls in (100, 20):  # heads are read eight at a time
            service.dapr.calls.clear()
            listed = (await service.http.get("/memories/u/conversations?limit=5")).json()["conversations"]
            assert [item["session_id"] for item in listed] == [f"s{number}" for number in range(4, -1, -1)]
            assert service.dapr.calls["bulk"] < most_calls
            await asyncio.sleep(60)

    run(scenario())


def test_an_export_is_whole_if_the_list_is_written_anew_meanwhile(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dead entries are removed between two parts of the list. Every session is exported once."""
    monkeypatch.setattr(list_compaction, "COMPACT_AFTER", 9)
    monkeypatch.setattr(list_compaction, "LEAST_SHARE", 20)

    async def scenario() -> None:
        for number in range(150):
            await service.append(f"s{number}", "t", "hello")
        epoch = service.dapr.value("sessions-of:u")["epoch"]  # type: ignore[index, call-overload]
        for number in range(8):
            await service.http.delete(f"/conversations/s{number}")
        service.dapr.seed("session:s149", {"history": [], "epoch": "a", "deleted": True})
        export = (await service.http.get("/memories/u/export")).json()
        assert service.dapr.value("sessions-of:u")["epoch"] != epoch  # type: ignore[index, call-overload]
        exported = [session["session_id"] for session in export["conversations"]]
        assert exported == [f"s{number}" for number in range(148, 7, -1)]

    run(scenario())


def test_an_erase_leaves_no_tombstone_of_what_expired_long_ago(service: Service) -> None:
    """A session that the list names and that is not there may be another user's soon: its id stays free after a day."""

    async def scenario() -> None:
        entries = [listed("old", DAY_SECONDS + MINUTE_SECONDS), listed("young", MINUTE_SECONDS)]
        service.dapr.seed("sessions-of:u", {"history": entries, "sealed": 0, "epoch": "b"})
        assert (await service.http.delete("/memories/u")).status_code == 204
        assert (await service.append("old", "t", "a", user="v")).status_code == 201
        assert (await service.append("young", "t", "a")).status_code == 410

    run(scenario())


def test_a_list_with_a_missing_page_is_not_taken_for_erased(service: Service) -> None:
    """The sessions on that page cannot be found, so the erase fails each time, and the list stays."""

    async def scenario() -> None:
        entries = [listed("s", MINUTE_SECONDS)]
        service.dapr.seed("sessions-of:u", {"history": entries, "sealed": 12, "epoch": "b", "announced": 1})
        for _ in range(2):
            response = await service.http.delete("/memories/u")
            assert (response.status_code, response.json()["code"]) == (500, "history_damaged")
        assert "'sealed': 12" in str(service.dapr.value("sessions-of:u"))

    run(scenario())


def test_a_change_without_changes_writes_nothing(service: Service) -> None:
    """Neither a PATCH without fields nor one that changes nothing is written. Without a profile there stays none."""

    async def scenario() -> None:
        assert (await service.http.patch("/memories/none", json={})).status_code == 200
        assert service.dapr.value("user:none") is None
        await service.http.post("/memories/u/initialize", json=PROFILE)
        service.dapr.calls.clear()
        for changes in ({}, {"goal": PROFILE["goal"]}):
            assert (await service.http.patch("/memories/u", json=changes)).json() == PROFILE
        assert (await service.http.post("/memories/u/initialize", json=PROFILE)).status_code == 200
        assert service.dapr.calls["save"] == 0

    run(scenario())


def test_a_stopped_reply_stays_marked(service: Service) -> None:
    """Every read but the tutorial's says that a reply was stopped, from the head and from a page, and of no other."""

    async def scenario() -> None:
        asked, stopped = {"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi", "stopped": True}
        body = {"turn_id": "t0", "user_id": "u", "entries": [asked, stopped]}
        responses = [await service.http.post("/conversations/s/turns", json=body) for _ in range(2)]
        for number in range(1, 20):  # the first messages are sealed into a page
            await service.append("s", f"t{number}", "hello", "hi")
        part = (await service.http.get("/conversations/s?last=40&turn_id=t0")).json()
        whole = (await service.http.get("/memories/u/export")).json()["conversations"][0]["history"]
        marks = [None, True, *[None] * 38]
        assert [[it.get("stopped") for it in found] for found in (part["history"], whole)] == [marks, marks]
        recorded = [response.json()["entries"] for response in responses]
        assert [[it.get("stopped") for it in found] for found in (*recorded, part["turn"]["entries"])] == [
            [None, True]
        ] * 3
        tutorials = (await service.http.get("/conversations/s")).json()["history"]
        assert {tuple(it) for it in tutorials} == {("role", "content", "timestamp")}

    run(scenario())
