"""What becomes of the connection if the sidecar's response stops in the middle."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from dapr_wire import DaprWire
from errors import StoreUnavailable
from metrics import Metrics
from tests.fake_time import run
from tests.workload import SETTINGS


class StalledBody(httpx.AsyncByteStream):
    """A body that never ends."""

    is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        """Note that the connection was given back."""
        self.is_closed = True


def test_a_response_that_stalls_is_closed() -> None:
    """A call that is given up closes its connection, as nobody else knows of it."""
    body = StalledBody()
    sidecar = httpx.MockTransport(lambda _: httpx.Response(200, stream=body))
    wire = DaprWire(sidecar, SETTINGS, Metrics())

    async def scenario() -> None:
        with pytest.raises(StoreUnavailable):
            await wire.get("user:ada")

    run(scenario())
    assert body.is_closed
