"""What the log says if the sidecar does not respond."""

import asyncio

import pytest

from dapr_wire import ConnectionCut, DaprWire, connect
from errors import StoreUnavailable
from metrics import Metrics
from settings import Settings
from tests.fake_clients import Fault
from tests.fake_time import run
from tests.service_under_test import Service


def test_a_failed_call_is_one_line_with_the_address(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """One line names the sidecar's address. There is no stack trace."""

    async def scenario() -> None:
        await service.http.get("/memories/u")
        caplog.clear()
        service.sidecar.faults = lambda request: Fault.UNREACHABLE
        assert (await service.http.get("/memories/u")).status_code == 503

    run(scenario())
    (record,) = [record for record in caplog.records if record.name.startswith("agent_memory_service")]
    assert "no response of the sidecar at http://127.0.0.1:3501" in record.getMessage()
    assert record.exc_info is None


async def test_a_cut_connection_is_told_from_a_sidecar_that_is_gone() -> None:
    """The sidecar accepts a connection and closes it without a response; then nothing listens any more."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    transport = connect()
    wire = DaprWire(transport, Settings(dapr_http_port=server.sockets[0].getsockname()[1]), Metrics())
    async with transport:
        with pytest.raises(ConnectionCut):
            await wire.get("key")
        server.close()
        await server.wait_closed()
        with pytest.raises(StoreUnavailable) as gone:
            await wire.get("key")
    assert not isinstance(gone.value, ConnectionCut)
