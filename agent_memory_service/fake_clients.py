"""Clients of a fake Dapr whose calls a test lets through one by one, with the faults it chooses.

Each call parks until `Schedule.let` answers it; a crashed client's calls get through no more.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import httpx

from fake_dapr import FakeDapr


class Fault(Enum):
    """What may happen to one call. "Done" says whether the store carried it out all the same."""

    NONE = "none"
    ANSWER_LOST = "done, no answer"
    ANSWER_CUT = "done, connection cut"
    REQUEST_LOST = "not done, no answer"
    UNREACHABLE = "not done, no connection"
    CONFLICT_DONE = "done, 409"
    CONFLICT_NOT_DONE = "not done, 409"
    ERROR_DONE = "done, 500"
    ERROR_NOT_DONE = "not done, 500"
    LATE = "done later, no answer"
    ITEM_ERRORS = "a bulk read whose every item is an error"


DONE = {Fault.NONE, Fault.ANSWER_LOST, Fault.ANSWER_CUT, Fault.CONFLICT_DONE, Fault.ERROR_DONE}
FOR_READS = [Fault.REQUEST_LOST, Fault.UNREACHABLE, Fault.ERROR_NOT_DONE, Fault.ITEM_ERRORS]
FOR_WRITES = [fault for fault in Fault if fault not in (Fault.NONE, Fault.ITEM_ERRORS)]


def is_write(request: httpx.Request) -> bool:
    return request.method != "GET" and not request.url.path.endswith("/bulk")


def answer(dapr: FakeDapr, request: httpx.Request, fault: Fault, by: str) -> httpx.Response:
    """Carry out a request as the fault says; raises what httpx raises when no answer comes."""
    if fault is Fault.ITEM_ERRORS and request.url.path.endswith("/bulk"):
        keys = dapr.answer(request, by).json()
        return httpx.Response(200, json=[{"key": item["key"], "error": "failed to get"} for item in keys])
    response = dapr.answer(request, by) if fault in DONE else None
    match fault:
        case Fault.NONE if response is not None:
            return response
        case Fault.ANSWER_CUT:
            raise httpx.RemoteProtocolError("peer closed connection", request=request)
        case Fault.UNREACHABLE:
            raise httpx.ConnectTimeout("no connection", request=request)
        case Fault.CONFLICT_DONE | Fault.CONFLICT_NOT_DONE:
            return httpx.Response(409, json={"errorCode": "ERR_STATE_SAVE", "message": "possible etag mismatch"})
        case Fault.ERROR_DONE | Fault.ERROR_NOT_DONE | Fault.ITEM_ERRORS:
            return httpx.Response(500, json={"errorCode": "ERR_STATE_SAVE", "message": "i/o timeout"})
    raise httpx.ReadTimeout("no answer", request=request)


class Sidecar(httpx.AsyncBaseTransport):
    """A sidecar that answers at once; `faults` says what happens to a request (none by default)."""

    def __init__(self, dapr: FakeDapr, faults: Callable[[httpx.Request], Fault] | None = None) -> None:
        self.dapr = dapr
        self.faults = faults or (lambda request: Fault.NONE)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)  # other tasks run between calls, as they do over a socket
        return answer(self.dapr, request, self.faults(request), "sidecar")


@dataclass(eq=False)
class Call:
    """One request under way."""

    by: str
    request: httpx.Request
    answered: asyncio.Future[httpx.Response]

    def __str__(self) -> str:
        return f"{self.by}: {self.request.method} {self.request.url.path} {self.request.content.decode()}"


@dataclass
class Schedule:
    """The calls of all clients that wait to be let through, and the writes that will land late."""

    dapr: FakeDapr
    parked: list[Call] = field(default_factory=list)
    late: list[Call] = field(default_factory=list)

    def let(self, call: Call, fault: Fault = Fault.NONE) -> None:
        """Carry out a parked call. Its client goes on when the loop runs."""
        self.parked.remove(call)
        if fault is Fault.LATE:
            self.late.append(call)
        try:
            call.answered.set_result(answer(self.dapr, call.request, fault, call.by))
        except httpx.TransportError as error:
            call.answered.set_exception(error)

    def land(self, call: Call) -> None:
        """Carry out a write whose client has long given up on it."""
        self.late.remove(call)
        self.dapr.answer(call.request, call.by)


class SteppedSidecar(httpx.AsyncBaseTransport):
    """The sidecar of one client: each call parks in the schedule until the test lets it through."""

    def __init__(self, schedule: Schedule, name: str) -> None:
        self.schedule = schedule
        self.name = name
        self.dead = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.dead:
            raise httpx.ConnectError("the process is gone", request=request)
        call = Call(self.name, request, asyncio.get_running_loop().create_future())
        self.schedule.parked.append(call)
        try:
            return await call.answered
        finally:
            self._given_up(call)

    def _given_up(self, call: Call) -> None:
        if call in self.schedule.parked:  # cancelled while parked: what was on its way may still arrive
            self.schedule.parked.remove(call)
            if is_write(call.request):
                self.schedule.late.append(call)

    def crash(self) -> None:
        """From now on nothing of this client reaches the store, except what was on its way already."""
        self.dead = True
