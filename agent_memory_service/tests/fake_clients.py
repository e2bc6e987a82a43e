"""Transports to a fake Dapr, with faults chosen by a test.

`Sidecar` responds at once. With `SteppedSidecar` each call waits until the test lets it through; the calls of a crashed
replica never get through.
"""

import asyncio
import json
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias
from urllib.parse import unquote

import httpx
from aiohttp import ServerDisconnectedError

from tests.fake_dapr import FakeDapr, TtlStep

current_operation: ContextVar[str] = ContextVar("current_operation", default="")
"""The operation that a call belongs to. The tasks that an operation starts belong to it too."""


class Fault(Enum):
    """What can happen to one call. "done" means that the store carried it out, whatever the response says."""

    NONE = "none"
    RESPONSE_LOST = "done, no response"
    RESPONSE_CUT = "done, connection cut"
    REQUEST_LOST = "not done, no response"
    UNREACHABLE = "not done, no connection"
    CONFLICT_DONE = "done, 409"
    CONFLICT_NOT_DONE = "not done, 409"
    ERROR_DONE = "done, 500"
    ERROR_NOT_DONE = "not done, 500"
    LATE = "done later, no response"
    TTL_LATE = "done, its TTL step later, 500"
    TTL_LOST = "done, its TTL step never, 500"
    ITEM_ERRORS = "a bulk read whose every item is an error"


TTL_FAULTS = {Fault.TTL_LATE, Fault.TTL_LOST}
"""Faults between the two commands of a write on Redis. On a store that writes a value with its TTL: done, 500."""
DONE = {Fault.NONE, Fault.RESPONSE_LOST, Fault.RESPONSE_CUT, Fault.CONFLICT_DONE, Fault.ERROR_DONE, *TTL_FAULTS}
FOR_READS = [Fault.REQUEST_LOST, Fault.UNREACHABLE, Fault.ERROR_NOT_DONE, Fault.ITEM_ERRORS]
FOR_WRITES = [fault for fault in Fault if fault not in (Fault.NONE, Fault.ITEM_ERRORS)]


def is_write(request: httpx.Request) -> bool:
    return request.method != "GET" and not request.url.path.endswith("/bulk")


def named(request: httpx.Request) -> str:
    """A short form of a request: get, save, bulk or delete, and its keys."""
    if request.method in ("GET", "DELETE"):
        return f"{request.method.lower()} {unquote(request.url.path.rpartition('/')[2])}"
    body = json.loads(request.content)
    if isinstance(body, dict):
        return f"bulk {' '.join(body['keys'])}"
    return f"save {' '.join(item['key'] for item in body)}"


Begun: TypeAlias = tuple[httpx.Response, list[TtlStep]]
"""A request that the store carried out: its response, and the TTL steps that are still to come."""


def respond(dapr: FakeDapr, request: httpx.Request, fault: Fault, by: str) -> httpx.Response:
    """Carry out a request with a fault; a late TTL step never comes. Raises what httpx raises for no response."""
    begun = begin(dapr, request, fault, by)
    if begun and fault not in TTL_FAULTS:
        for step in begun[1]:
            step()
    return responded(request, fault, begun[0] if begun else None)


def begin(dapr: FakeDapr, request: httpx.Request, fault: Fault, by: str) -> Begun | None:
    """Carry out a request without its TTL steps, unless the fault prevents it."""
    if fault is Fault.ITEM_ERRORS and request.url.path.endswith("/bulk"):
        keys = dapr.respond(request, by).json()
        return httpx.Response(200, json=[{"key": item["key"], "error": "failed to get"} for item in keys]), []
    return dapr.begin(request, by) if fault in DONE else None


def responded(request: httpx.Request, fault: Fault, response: httpx.Response | None) -> httpx.Response:
    """Return what the client gets. `response` is the store's, None if the request was not carried out."""
    match fault:
        case Fault.NONE | Fault.ITEM_ERRORS if response is not None:
            return response
        case Fault.RESPONSE_CUT:
            raise httpx.ConnectTimeout("Server disconnected", request=request) from ServerDisconnectedError()
        case Fault.UNREACHABLE:
            raise httpx.ConnectTimeout("no connection", request=request)
        case Fault.CONFLICT_DONE | Fault.CONFLICT_NOT_DONE:
            return httpx.Response(409, json={"errorCode": "ERR_STATE_SAVE", "message": "possible etag mismatch"})
        case Fault.ERROR_DONE | Fault.ERROR_NOT_DONE | Fault.ITEM_ERRORS | Fault.TTL_LATE | Fault.TTL_LOST:
            return httpx.Response(500, json={"errorCode": "ERR_STATE_SAVE", "message": "i/o timeout"})
    raise httpx.ReadTimeout("no response", request=request)


class Sidecar(httpx.AsyncBaseTransport):
    """A sidecar that responds at once; `faults` chooses the fault of each request (the default is none)."""

    def __init__(self, dapr: FakeDapr, faults: Callable[[httpx.Request], Fault] | None = None) -> None:
        self.dapr = dapr
        self.faults = faults or (lambda request: Fault.NONE)
        self.latency_seconds = 0.0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(self.latency_seconds)  # other tasks run between calls, as they do over a socket
        return respond(self.dapr, request, self.faults(request), "sidecar")


@dataclass(eq=False)
class Call:
    """One request under way, with its operation and its replica."""

    by: str
    replica: str
    request: httpx.Request
    response: asyncio.Future[httpx.Response]
    begun: Begun | None = None

    def __str__(self) -> str:
        return f"{self.by} {named(self.request)}"


@dataclass(eq=False)
class LateWork:
    """What may still reach the store although its client no longer waits: a write, or the TTL step of one."""

    name: str
    carry_out: Callable[[], object]


@dataclass
class Schedule:
    """The waiting calls of all replicas, and what may still reach the store late."""

    dapr: FakeDapr
    parked: list[Call] = field(default_factory=list)
    late: list[LateWork] = field(default_factory=list)
    late_ttl_keys: set[str] = field(default_factory=set)
    trace: list[str] = field(default_factory=list)
    troubles: int = 0  # calls with a fault, and calls that their client gave up on

    def let(self, call: Call, fault: Fault = Fault.NONE) -> None:
        """Carry out a waiting call. Its client continues when the loop runs."""
        self.parked.remove(call)
        self.trace.append(f"{call} [{fault.value}]")
        self.troubles += fault is not Fault.NONE
        if fault is Fault.LATE and not call.begun:
            self._comes_late(call)
        begun = call.begun or begin(self.dapr, call.request, fault, call.by)
        if begun and fault is not Fault.TTL_LOST:
            self._finish(call, begun[1], late=fault is Fault.TTL_LATE)
        try:
            call.response.set_result(responded(call.request, fault, begun[0] if begun else None))
        except httpx.TransportError as error:
            call.response.set_exception(error)

    def begin(self, call: Call) -> None:
        """Carry out the first command of a waiting call. Its TTL step and its response still wait."""
        if not call.begun:
            self.trace.append(f"{call} [begins]")
            call.begun = self.dapr.begin(call.request, call.by)

    def land(self, work: LateWork) -> None:
        """Carry out what comes late."""
        self.late.remove(work)
        self.trace.append(f"{work.name} [lands late]")
        work.carry_out()

    def _finish(self, call: Call, steps: list[TtlStep], *, late: bool) -> None:
        for step in steps:
            if late:
                self.late_ttl_keys |= set(named(call.request).split()[1:])
                self.late.append(LateWork(f"{call} TTL step", step))
            else:
                step()

    def _comes_late(self, call: Call) -> None:
        self.late.append(LateWork(str(call), lambda: self.dapr.respond(call.request, call.by)))

    def give_up(self, call: Call) -> None:
        """Record that the client no longer waits. A write may still reach the store."""
        if call in self.parked:
            self.parked.remove(call)
            self.troubles += 1
            self.trace.append(f"{call} [given up]")
            if call.begun:
                self._finish(call, call.begun[1], late=True)
            elif is_write(call.request):
                self._comes_late(call)


class SteppedSidecar(httpx.AsyncBaseTransport):
    """The sidecar of one replica: each call waits in the schedule until the test lets it through."""

    def __init__(self, schedule: Schedule, replica: str) -> None:
        self.schedule = schedule
        self.replica = replica
        self.dead = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.dead:
            raise httpx.ConnectError("the process is gone", request=request)
        call = Call(current_operation.get(), self.replica, request, asyncio.get_running_loop().create_future())
        self.schedule.parked.append(call)
        try:
            return await call.response
        finally:
            self.schedule.give_up(call)

    def crash(self) -> None:
        """Cut this replica off from the store, except for writes that are already under way."""
        self.dead = True
        self.schedule.trace.append(f"{self.replica} crashes")
        for call in [call for call in self.schedule.parked if call.replica == self.replica]:
            self.schedule.give_up(call)
            call.response.set_exception(httpx.ConnectError("the process is gone"))
