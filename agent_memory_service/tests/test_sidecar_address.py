"""What the log says if the sidecar does not respond."""

import pytest

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
