"""What the service learns about its store, when it learns it, and which stores it refuses."""

import asyncio
from dataclasses import replace

import httpx
import pytest

from errors import ServiceError, StoreRefusesWrites, StoreUnavailable, StoreUnsuitable
from keys import LONGEST_KEY_CHARS, list_key, page_key
from log.page_plan import new_epoch
from memory import Memory
from models import MAX_ID_CHARS
from store_trial import RACING_WRITES
from tests.fake_clients import Fault, Sidecar, is_write
from tests.fake_dapr import FakeDapr
from tests.fake_time import run
from tests.store_kinds import ALL_KINDS, MYSQL, POSTGRESQL, REDIS, StoreKind
from tests.workload import SETTINGS, traits_of

UNSUITABLE = {
    "has no etags": replace(POSTGRESQL, has_etags=False),
    "accepts a write with a wrong etag": replace(POSTGRESQL, checks_etags=False),
    "cannot create a key only if it is missing": replace(POSTGRESQL, creates=False),
    "takes the keys alice, Alice and Álice for one": MYSQL,
    "does not keep keys of 200 characters apart": replace(POSTGRESQL, longest_key_chars=LONGEST_KEY_CHARS - 1),
    "takes TTL -1 for a time in the past": replace(POSTGRESQL, forever_is_past=True),
    "does not delete": replace(POSTGRESQL, deletes=False),
}


class Probed:
    """A memory that has to learn about its store, over a fake one."""

    def __init__(self, kind: StoreKind = REDIS) -> None:
        self.dapr = FakeDapr(lambda: asyncio.get_running_loop().time(), kind)
        self.sidecar = Sidecar(self.dapr)
        self.memory = Memory(SETTINGS, self.sidecar)

    async def failure(self) -> ServiceError | None:
        """How a read of a profile fails."""
        try:
            await self.memory.profiles.get("u")
        except ServiceError as error:
            return error
        return None

    async def write_failure(self) -> ServiceError | None:
        """How a write of a profile fails."""
        try:
            await self.memory.profiles.set("u", {"name": "Bob"})
        except ServiceError as error:
            return error
        return None


@pytest.mark.parametrize("kind", ALL_KINDS, ids=str)
def test_it_learns_how_each_store_behaves(kind: StoreKind) -> None:
    """It learns what the simulations assume, and deletes every key it wrote."""

    async def scenario() -> None:
        probed = Probed(kind)
        await probed.memory.start()
        assert await probed.memory.probe.traits() == traits_of(kind)
        assert probed.dapr.values() == {}

    run(scenario())


def test_objects_are_saved_as_text_if_a_store_refuses_some() -> None:
    """PostgreSQL's first version refuses an object with the character NUL."""

    async def scenario() -> None:
        probed = Probed(replace(POSTGRESQL, nul_in_objects=False))
        assert not (await probed.memory.probe.traits()).keeps_objects

    run(scenario())


@pytest.mark.parametrize("lack", UNSUITABLE)
def test_a_store_that_cannot_keep_a_promise_is_refused(lack: str) -> None:
    """Reads, writes and readiness are 503 with one sentence that names the store, what it lacks and what to do."""

    async def scenario() -> None:
        probed = Probed(UNSUITABLE[lack])
        await probed.memory.start()
        for failure in (await probed.failure(), await probed.write_failure()):
            assert isinstance(failure, StoreUnsuitable)
            assert failure.detail.startswith(f"The state store statestore ({probed.dapr.kind.component}) {lack}")
            assert "docs/operations.md" in failure.detail
        with pytest.raises(StoreUnsuitable):
            await probed.memory.readiness.check()
        assert "user:u" not in probed.dapr.values()

    run(scenario())


def test_a_store_that_lets_racing_writers_win_is_refused() -> None:
    """A store that checks an etag before all of several writes at once reports success to each of them."""

    async def scenario() -> None:
        probed = Probed(POSTGRESQL)
        probed.sidecar = LenientInRaces(probed.dapr)
        probed.memory = Memory(SETTINGS, probed.sidecar)
        failure = await probed.failure()
        assert isinstance(failure, StoreUnsuitable)
        assert "lost a race" in failure.detail

    run(scenario())


class LenientInRaces(Sidecar):
    """A sidecar that reports success to every write while several are under way."""

    def __init__(self, dapr: FakeDapr) -> None:
        super().__init__(dapr)
        self.under_way = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.under_way += 1
        try:
            await asyncio.sleep(0)
            racing = self.under_way == RACING_WRITES and request.url.path.endswith("/statestore")
            response = await super().handle_async_request(request)
        finally:
            self.under_way -= 1
        return httpx.Response(204) if racing else response


def test_an_unsuitable_store_is_tried_again_after_30_seconds() -> None:
    """Until then no request reaches it; a store in its place is then used."""

    async def scenario() -> None:
        probed = Probed(MYSQL)
        assert isinstance(await probed.failure(), StoreUnsuitable)
        probed.dapr.kind = POSTGRESQL
        probed.dapr.calls.clear()
        await asyncio.sleep(29)
        assert isinstance(await probed.failure(), StoreUnsuitable)
        assert probed.dapr.calls == {}
        await asyncio.sleep(2)
        assert await probed.write_failure() is None
        assert probed.dapr.values() == {"user:u": {"name": "Bob"}}

    run(scenario())


@pytest.mark.parametrize("fault", [Fault.UNREACHABLE, Fault.REQUEST_LOST, Fault.ERROR_NOT_DONE])
def test_a_store_that_is_down_at_the_start_is_asked_again(fault: Fault) -> None:
    """The service starts, reports the store as unavailable, and works when the store is back."""

    async def scenario() -> None:
        probed = Probed()
        probed.sidecar.faults = lambda request: fault
        await probed.memory.start()
        assert isinstance(await probed.failure(), StoreUnavailable)
        with pytest.raises(StoreUnavailable):
            await probed.memory.readiness.check()
        probed.sidecar.faults = lambda request: Fault.NONE
        await asyncio.sleep(1.1)
        await probed.memory.readiness.check()
        assert await probed.write_failure() is None

    run(scenario())


def test_a_store_that_is_down_is_asked_once_a_second() -> None:
    """Requests in between fail at once. They do not wait for a store that is known to be down."""

    async def scenario() -> None:
        probed = Probed()
        asked: list[httpx.Request] = []

        def down(request: httpx.Request) -> Fault:
            asked.append(request)
            return Fault.REQUEST_LOST

        probed.sidecar.faults = down
        for _ in range(100):
            assert isinstance(await probed.failure(), StoreUnavailable)
            await asyncio.sleep(0.05)
        assert len(asked) <= 5 + 1

    run(scenario())


@pytest.mark.parametrize("fault", [Fault.CONFLICT_DONE, Fault.CONFLICT_NOT_DONE])
def test_a_failure_in_the_middle_of_a_trial_teaches_nothing_wrong(fault: Fault) -> None:
    """A write of the trial is refused once, wrongly, as Redis does when it stalls.

    The trial is done again before the store is called unsuitable. With `first-write` Redis would overwrite sessions.
    """

    async def scenario() -> None:
        for number in range(1, 30):
            probed = Probed()
            writes = 0

            def refuse_one(request: httpx.Request, number: int = number) -> Fault:
                nonlocal writes
                writes += is_write(request)
                return fault if is_write(request) and writes == number else Fault.NONE

            probed.sidecar.faults = refuse_one
            assert not isinstance(await probed.failure(), StoreUnsuitable)
            await asyncio.sleep(1.1)
            assert await probed.memory.probe.traits() == traits_of(REDIS)

    run(scenario())


def test_requests_at_the_same_time_share_one_trial() -> None:
    """A hundred first requests try the store once. One that is cancelled does not end the trial."""

    async def scenario() -> None:
        alone = Probed()
        await alone.failure()
        probed = Probed()
        probed.sidecar.latency_seconds = 0.01
        first = asyncio.create_task(probed.failure())
        await asyncio.sleep(0.05)
        first.cancel()
        assert await asyncio.gather(*(probed.failure() for _ in range(100))) == [None] * 100
        assert probed.dapr.calls["save"] == alone.dapr.calls["save"]

    run(scenario())


def test_a_store_that_is_full_at_the_start_can_be_read() -> None:
    """Nothing can be learned about writes. Reads and deletes need nothing of that."""

    async def scenario() -> None:
        probed = Probed()
        probed.dapr.seed("user:u", {"name": "Ann"})
        probed.dapr.full = True
        await probed.memory.start()
        assert await probed.failure() is None
        assert isinstance(await probed.write_failure(), StoreRefusesWrites)
        probed.dapr.full = False
        await asyncio.sleep(1.1)
        assert await probed.write_failure() is None

    run(scenario())


@pytest.mark.parametrize(("kind", "expected"), [(POSTGRESQL, type(None)), (MYSQL, StoreUnsuitable)], ids=str)
def test_another_store_in_the_place_of_the_first_is_learned(kind: StoreKind, expected: type) -> None:
    """The sidecar was restarted with another store. It refuses writes, and the next readiness check learns again."""

    async def scenario() -> None:
        probed = Probed()
        assert await probed.write_failure() is None
        probed.dapr.kind = kind
        probed.dapr.entries.clear()
        assert isinstance(await probed.write_failure(), StoreRefusesWrites)
        ready = await asyncio.gather(probed.memory.readiness.check(), return_exceptions=True)
        assert isinstance(ready[0], expected)
        assert isinstance(await probed.write_failure(), expected)

    run(scenario())


def test_no_key_is_longer_than_what_was_tried() -> None:
    """The longest id, in a list of the longest prefix, with the number of a page that no list ever reaches."""
    assert len(page_key(list_key("x" * MAX_ID_CHARS), new_epoch(), 10**12)) <= LONGEST_KEY_CHARS
