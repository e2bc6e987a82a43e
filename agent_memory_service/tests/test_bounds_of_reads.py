"""What a read may cost: bulk reads are bounded by bytes, and long responses are sent while they are read."""

import asyncio
import json
from collections.abc import Callable

import httpx
import pytest
from starlette.types import Message, Scope

import bulk_reads
import models
from api import json_stream
from log import log_reader, page_plan
from main import create_app
from tests.fake_clients import Fault, named
from tests.fake_dapr import FakeDapr
from tests.fake_time import run
from tests.fake_wire import JSON
from tests.service_under_test import Service
from tests.sized_sidecar import SizedSidecar, seed_list, seed_session
from tests.workload import SETTINGS

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
LONG, SHORT = 119_000, 100
"""Bytes of a long and of a short message: 12 of either make a page of 1.4 MB, or of 2 KB."""
UNDER_WAY_BYTES = 64 * MIB
"""Most bytes of all bulk reads under way. It is stated here too: it decides how much memory a sidecar takes."""
MAX_STALL_SECONDS = 60
"""Seconds after which a client that does not receive is cut off."""
SETTLED_BYTES = 3 * MIB
"""Most bytes of a bulk read once the sizes are known: what is aimed at and one page."""


class Sized(Service):
    """An app over a sidecar that records its bulk reads."""

    def __init__(self) -> None:
        self.sized = SizedSidecar(FakeDapr())
        super().__init__(create_app(SETTINGS, sidecar_transport=self.sized), self.sized.dapr, self.sized)

    async def begin(self) -> None:
        """Let the service try its store, which takes a bulk read."""
        await self.http.get("/conversations/none")
        self.sized.calls.clear()


@pytest.fixture
def sized() -> Sized:
    return Sized()


class SlowClient:
    """A client that receives a response only as far as the test lets it."""

    def __init__(self, service: Sized, path: str, query: str = "") -> None:
        self._room = asyncio.Semaphore(0)
        self._requests: list[Message] = [{"type": "http.request", "body": b""}]
        self.received: list[Message] = []
        scope: Scope = {"type": "http", "method": "GET", "path": path, "headers": []}
        scope["query_string"] = query.encode()
        self.task = asyncio.create_task(service.app(scope, self._receive, self._send))

    def receive(self, messages: int) -> None:
        for _ in range(messages):
            self._room.release()

    async def _receive(self) -> Message:
        if self._requests:
            return self._requests.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def _send(self, message: Message) -> None:
        await self._room.acquire()
        self.received.append(message)

    @property
    def status(self) -> int | None:
        return self.received[0]["status"] if self.received else None

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.received)

    @property
    def ended(self) -> bool:
        """Whether the body has an end: otherwise the server cuts the connection."""
        return bool(self.received) and not self.received[-1].get("more_body", True)


def test_the_largest_page_is_the_largest_that_can_be_stored() -> None:
    """The bound of a page follows from the bound of a message."""
    assert log_reader.LARGEST_PAGE_BYTES == page_plan.PAGE_ENTRIES * models.MAX_ENTRY_BYTES


@pytest.mark.parametrize("pages", [[LONG] * 60, [SHORT] * 300 + [LONG] * 30, [LONG, *[SHORT] * 30] * 6])
def test_bulk_reads_are_bounded_by_bytes(sized: Sized, pages: list[int]) -> None:
    """Whatever the sizes of the pages are, and although nothing is known of them, no bulk read is large."""

    async def scenario() -> None:
        seed_session(sized.dapr, "s", pages)
        await sized.begin()
        contents = await sized.contents("s")
        assert [len(content) for content in contents[:-1]] == [size for size in pages for _ in range(12)]
        assert max(call.size_bytes for call in sized.sized.calls) <= bulk_reads.MAX_CALL_BYTES
        assert max(call.keys for call in sized.sized.calls) * log_reader.LARGEST_PAGE_BYTES <= bulk_reads.MAX_CALL_BYTES

    run(scenario())


def test_bulk_reads_of_long_messages_are_small(sized: Sized) -> None:
    """After the first bulk read the size is known: the others return what is aimed at."""

    async def scenario() -> None:
        seed_session(sized.dapr, "s", [LONG] * 40)
        await sized.begin()
        await sized.contents("s")
        assert all(call.size_bytes <= SETTLED_BYTES for call in sized.sized.calls[1:])

    run(scenario())


def test_all_reads_together_are_bounded(sized: Sized) -> None:
    """Whole reads, parts, exports and lists of many clients share the bytes that may be under way."""

    async def scenario() -> None:
        for number in range(12):
            seed_session(sized.dapr, f"s{number}", [SHORT] * 100)
        seed_list(sized.dapr, "u", [f"s{number}" for number in range(12)])
        await sized.begin()
        sized.sized.bulk_seconds = 0.01
        paths = [f"/conversations/s{number}{query}" for number in range(12) for query in ("", "?last=700")]
        responses = await asyncio.gather(*(sized.http.get(path) for path in [*paths, "/memories/u/export"]))
        assert [response.status_code for response in responses] == [200] * len(responses)
        under_way = max(call.keys_under_way for call in sized.sized.calls)
        assert under_way * log_reader.LARGEST_PAGE_BYTES <= bulk_reads.MAX_UNDER_WAY_BYTES == UNDER_WAY_BYTES

    run(scenario())


def test_a_read_that_waits_too_long_for_its_share_is_asked_to_come_back(sized: Sized) -> None:
    """If the bulk reads before it take too long, a read is 503 with Retry-After. Later all is as before."""

    async def scenario() -> None:
        for number in range(200):
            seed_session(sized.dapr, f"s{number}", [SHORT] * 11)
        await sized.begin()
        responses = await asyncio.gather(*(sized.http.get(f"/conversations/s{number}") for number in range(200)))
        refused = [response for response in responses if response.status_code != 200]
        assert 0 < len(refused) < 200
        assert {(it.status_code, it.json()["code"], it.headers["retry-after"]) for it in refused} == {
            (503, "overloaded", "1")
        }
        assert (await sized.http.get("/conversations/s0")).status_code == 200

    run(scenario())


def slow_with_more_than(pages: int) -> Callable[[httpx.Request], Fault]:
    """A store that times out on a bulk read of more pages than these, from page 300 on."""
    return lambda request: Fault.ITEM_ERRORS if named(request).count(":aa:3") > pages else Fault.NONE


@pytest.mark.parametrize("pages", [1, 5])
def test_a_bulk_read_that_is_too_much_for_the_store_is_read_in_halves(sized: Sized, pages: int) -> None:
    """A session of short messages followed by long ones is read whole, also by a store that is slow."""

    async def scenario() -> None:
        seed_session(sized.dapr, "s", [SHORT] * 300 + [LONG] * 20)
        await sized.begin()
        sized.sidecar.faults = slow_with_more_than(pages)
        assert len(await sized.contents("s")) == 320 * 12 + 1

    run(scenario())


def test_a_page_that_cannot_be_read_fails_its_session_alone(sized: Sized) -> None:
    """A read of the session is 503. An export names the session, whether it is short or long, and has the others."""

    async def scenario() -> None:
        sizes = {"a": [SHORT] * 30, "b": [SHORT] * 30, "c": [LONG] * 5, "d": [LONG] * 5}
        for session, pages in sizes.items():
            seed_session(sized.dapr, session, pages)
        seed_list(sized.dapr, "u", list(sizes))
        await sized.begin()
        damaged = {"session:b:aa:7", "session:d:aa:4"}

        def some(request: httpx.Request) -> Fault:
            return Fault.ITEM_ERRORS if damaged & set(named(request).split()) else Fault.NONE

        sized.sidecar.faults = some
        for session in ("b", "d?last=20"):
            response = await sized.http.get(f"/conversations/{session}")
            assert (response.status_code, response.json()["code"]) == (503, "store_unavailable")
        export = (await sized.http.get("/memories/u/export")).json()
        lengths = {item["session_id"]: len(item["history"]) for item in export["conversations"]}
        assert lengths == {"a": 361, "c": 61, "d": 48}
        assert sorted(export["damaged"]) == ["b", "d"]

    run(scenario())


def test_a_head_that_cannot_be_read_fails_its_session_alone(sized: Sized) -> None:
    """A list and an export have the others, and the export names it."""

    async def scenario() -> None:
        sessions = [f"s{number}" for number in range(20)]
        for session in sessions:
            seed_session(sized.dapr, session, [SHORT])
        seed_list(sized.dapr, "u", sessions)
        await sized.begin()
        sized.sidecar.faults = lambda it: Fault.ITEM_ERRORS if "session:s13" in named(it).split() else Fault.NONE
        listed = (await sized.http.get("/memories/u/conversations?limit=20")).json()
        export = (await sized.http.get("/memories/u/export")).json()
        for found in (listed["conversations"], export["conversations"]):
            assert [it["session_id"] for it in found] == [it for it in reversed(sessions) if it != "s13"]
        assert export["damaged"] == ["s13"]

    run(scenario())


def test_a_store_that_fails_is_not_taken_for_damaged_sessions(sized: Sized) -> None:
    """Nothing can be read any more: that is 503 after few calls, and an export that has begun is cut."""

    async def scenario() -> None:
        seed_session(sized.dapr, "s", [SHORT] * 300)
        seed_list(sized.dapr, "u", ["s"])
        await sized.begin()
        calls: list[str] = []

        def fails(request: httpx.Request) -> Fault:
            calls.append(named(request))
            begun = any(":aa:" in call for call in calls)
            return Fault.ERROR_NOT_DONE if begun else Fault.NONE

        sized.sidecar.faults = fails
        response = await sized.http.get("/conversations/s")
        assert (response.status_code, response.json()["code"]) == (503, "store_unavailable")
        assert len(calls) < 20
        calls.clear()
        client = SlowClient(sized, "/memories/u/export")
        client.receive(100_000)
        await client.task
        assert not client.ended

    run(scenario())


def test_short_pages_that_are_known_are_read_by_few_calls(sized: Sized) -> None:
    """The head says how large its largest page is: 166 short pages come in one bulk read."""

    async def scenario() -> None:
        await sized.http.post("/conversations/s", json={"history": [{"role": "user", "content": "c"}] * 2_000})
        await sized.append("s", "t", "last")
        sized.sized.calls.clear()
        assert len(await sized.contents("s")) == 2_001
        assert [call.keys for call in sized.sized.calls] == [165]

    run(scenario())


def test_a_replica_of_the_first_version_makes_the_largest_page_unknown(sized: Sized) -> None:
    """It seals pages without saying how large they are. Then reads are as careful as if nothing was known."""

    async def scenario() -> None:
        for number in range(20):
            await sized.append("s", f"t{number}", *["short"] * 6)
        head = sized.dapr.values()["session:s"]
        assert isinstance(head, dict)
        seed_session(sized.dapr, "s", [LONG] * 30)
        seeded = sized.dapr.values()["session:s"]
        assert isinstance(seeded, dict)
        sized.dapr.seed("session:s", {**seeded, "largest_page": head["largest_page"]})
        sized.sized.calls.clear()
        await sized.contents("s")
        assert max(call.size_bytes for call in sized.sized.calls) <= bulk_reads.MAX_CALL_BYTES

    run(scenario())


@pytest.mark.parametrize("query", ["", "last=480"])
def test_a_long_response_is_sent_while_it_is_read(sized: Sized, query: str) -> None:
    """The first bytes are sent after a few megabytes were read; a client that does not receive stops the reading."""

    async def scenario() -> None:
        seed_session(sized.dapr, "s", [LONG] * 40)
        await sized.begin()
        client = SlowClient(sized, "/conversations/s", query)
        await asyncio.sleep(5)
        assert sum(call.size_bytes for call in sized.sized.calls) < 12 * MIB
        client.receive(100_000)
        await client.task
        assert len(json.loads(client.body)["history"]) == (480 if query else 481)
        assert client.ended

    run(scenario())


def test_a_part_is_the_same_whether_it_is_long_or_short(sized: Sized) -> None:
    """A long part of a history has the fields of a short one."""

    async def scenario() -> None:
        seed_session(sized.dapr, "long", [LONG] * 5)
        seed_session(sized.dapr, "short", [SHORT] * 5)
        long, short = [(await sized.http.get(f"/conversations/{it}?last=50")).json() for it in ("long", "short")]
        assert [entry["turn_id"] for entry in long.pop("history")] == ["t"] * 50
        assert [entry["turn_id"] for entry in short.pop("history")] == ["t"] * 50
        assert long | {"session_id": "short"} == short

    run(scenario())


def test_a_page_that_vanishes_cuts_the_response(sized: Sized) -> None:
    """What was read before the first byte may be repeated. After it the body has no end: never a made-up one."""

    async def scenario() -> None:
        seed_session(sized.dapr, "s", [LONG] * 40)
        del sized.dapr.entries["session:s:aa:39"]
        client = SlowClient(sized, "/conversations/s")
        client.receive(100_000)
        await client.task
        assert (client.status, client.ended) == (200, False)
        assert len(client.body) > 10 * MIB
        del sized.dapr.entries["session:s:aa:0"]
        response = await sized.http.get("/conversations/s")
        assert (response.status_code, response.json()["code"]) == (500, "history_damaged")

    run(scenario())


def test_a_history_that_is_replaced_while_it_is_sent_cuts_the_response(sized: Sized) -> None:
    """No response has the messages of two histories, and none ends as if the rest had never been."""

    async def scenario() -> None:
        seed_session(sized.dapr, "s", [LONG] * 40)
        client = SlowClient(sized, "/conversations/s")
        client.receive(10)
        await asyncio.sleep(5)
        await sized.http.post("/conversations/s", json={"history": [{"role": "user", "content": "new"}]})
        for number in range(20, 40):
            del sized.dapr.entries[f"session:s:aa:{number}"]
        client.receive(100_000)
        await client.task
        assert (client.status, client.ended) == (200, False)
        assert b"new" not in client.body
        assert await sized.contents("s") == ["new"]

    run(scenario())


def test_long_responses_are_bounded_in_number_and_time(sized: Sized) -> None:
    """A client that does not receive is cut off. Others wait for a place, and too many are 503 with Retry-After."""

    async def scenario() -> None:
        seed_session(sized.dapr, "s", [LONG] * 4)
        await sized.begin()
        clients = [SlowClient(sized, "/conversations/s") for _ in range(json_stream.STREAMS_AT_ONCE)]
        await asyncio.sleep(10)
        assert not any(client.task.done() for client in clients)
        began = asyncio.get_running_loop().time()
        refused = await sized.http.get("/conversations/s")
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        assert asyncio.get_running_loop().time() - began < 2 * json_stream.MAX_WAIT_SECONDS
        await asyncio.gather(*(client.task for client in clients))
        assert not any(client.ended for client in clients)
        assert asyncio.get_running_loop().time() - began < MAX_STALL_SECONDS
        assert (await sized.http.get("/conversations/s")).status_code == 200

    run(scenario())


def test_more_long_responses_than_may_wait_are_refused_at_once(sized: Sized) -> None:
    """Each response that waits holds megabytes, so only some may wait."""

    async def scenario() -> None:
        seed_session(sized.dapr, "s", [LONG] * 3)
        await sized.begin()
        sized.sized.bulk_seconds = 0.01
        count = json_stream.STREAMS_AT_ONCE + json_stream.STREAMS_WAITING
        clients = [SlowClient(sized, "/conversations/s") for _ in range(count)]
        await asyncio.sleep(json_stream.MAX_WAIT_SECONDS / 2)
        began = asyncio.get_running_loop().time()
        assert (await sized.http.get("/conversations/s")).status_code == 503
        assert asyncio.get_running_loop().time() - began < 1
        for client in clients:
            client.receive(1_000)
        await asyncio.gather(*(client.task for client in clients))
        assert all(client.ended for client in clients)

    run(scenario())


def test_a_list_reads_heads_in_parts(sized: Sized) -> None:
    """A list over the tutorial's longest documents reads a few of them at a time."""

    async def scenario() -> None:
        document: dict[str, JSON] = {"history": [{"role": "user", "content": "x" * 95_000, "timestamp": "then"}] * 40}
        for number in range(20):
            fields: dict[str, JSON] = {
                "owner": "u",
                "listed": f"s{number}",
                "created": "then",
                "first_words": "x",
                "epoch": "aa",
            }
            sized.dapr.seed(f"session:s{number}", {**document, **fields})
        seed_list(sized.dapr, "u", [f"s{number}" for number in range(20)])
        await sized.begin()
        listed = (await sized.http.get("/memories/u/conversations?limit=20")).json()["conversations"]
        assert [(item["session_id"], item["messages"]) for item in listed] == [(f"s{n}", 40) for n in range(19, -1, -1)]
        assert max(call.size_bytes for call in sized.sized.calls) <= bulk_reads.MAX_CALL_BYTES

    run(scenario())


def test_an_export_names_damaged_sessions_and_has_the_others(sized: Sized) -> None:
    """Sessions with a missing page, a page that is no page, or a head that is no document are named."""

    async def scenario() -> None:
        sessions = [f"s{number}" for number in range(6)]
        for session in sessions:
            seed_session(sized.dapr, session, [SHORT] * 5)
        seed_session(sized.dapr, "long", [LONG] * 9)
        seed_list(sized.dapr, "u", [*sessions, "long"])
        del sized.dapr.entries["session:s1:aa:2"]
        sized.dapr.seed("session:s2:aa:1", "no page")
        sized.dapr.seed("session:s3:aa:1", {"history": "no page"})
        sized.dapr.seed("session:s4", "no head")
        del sized.dapr.entries["session:long:aa:8"]
        response = await sized.http.get("/memories/u/export")
        assert response.status_code == 200
        export = response.json()
        assert sorted(export.pop("damaged")) == ["long", "s1", "s2", "s3", "s4"]
        whole = {item["session_id"]: len(item["history"]) for item in export["conversations"]}
        assert (whole["s0"], whole["s5"]) == (61, 61)
        listed = (await sized.http.get("/memories/u/conversations")).json()["conversations"]
        assert "s4" not in {item["session_id"] for item in listed}

    run(scenario())


def test_an_export_that_the_store_interrupts_is_cut(sized: Sized) -> None:
    """If the store fails in the middle, the export has no end. If it fails before, the response is 503."""

    async def scenario() -> None:
        for number in range(4):
            seed_session(sized.dapr, f"s{number}", [LONG] * 9)
        seed_list(sized.dapr, "u", [f"s{number}" for number in range(4)])
        await sized.begin()
        calls: list[str] = []

        def fails(request: httpx.Request) -> Fault:
            calls.append(named(request))
            return Fault.ERROR_NOT_DONE if "get session:s1" in calls else Fault.NONE

        sized.sidecar.faults = fails
        client = SlowClient(sized, "/memories/u/export")
        client.receive(100_000)
        await client.task
        assert (client.status, client.ended) == (200, False)
        sized.sidecar.faults = lambda request: Fault.ERROR_NOT_DONE
        assert (await sized.http.get("/memories/u/export")).status_code == 503

    run(scenario())
