"""The service's numbers, as Prometheus reads them."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from errors import HistoryDamaged, StoreRefusesWrites, StoreUnsuitable
from main import create_app
from tests.fake_clients import Fault, Sidecar, is_write, named
from tests.fake_time import run, skip
from tests.service_under_test import Service
from tests.workload import SETTINGS

MINUTE_SECONDS = 60


async def numbers(service: Service) -> dict[str, float]:
    """Every number by its name and its label values, as `name value value`."""
    response = await service.http.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
        if "le" not in sample.labels
    }


def test_errors_are_counted_from_0(service: Service) -> None:
    """An alert on the increase of an error sees its first one, too: a number that begins at 1 has not increased."""

    async def scenario() -> None:
        found = await numbers(service)
        for error in (HistoryDamaged, StoreRefusesWrites, StoreUnsuitable):
            assert found[f"memory_error_responses_total {error.code} {error.status}"] == 0

    run(scenario())


def test_an_append_is_counted_and_its_calls_are_measured(service: Service) -> None:
    """A new turn, and its repeat, which is a read more and no write."""

    async def scenario() -> None:
        await service.append("s", "first", "a")
        before = await numbers(service)
        await service.append("s", "second", "b")
        after = await numbers(service)
        await service.append("s", "second", "b")
        repeated = await numbers(service)
        assert after["memory_appended_turns_total new"] == 2
        assert repeated["memory_appended_turns_total replayed"] == 1
        for operation in ("get", "save"):
            name = f"memory_store_call_seconds_count {operation} ok"
            assert after[name] == before[name] + 1
            assert after[f"memory_store_call_seconds_sum {operation} ok"] > 0
        assert repeated["memory_store_call_seconds_count save ok"] == after["memory_store_call_seconds_count save ok"]
        assert after["memory_store_retries_total"] == 0

    run(scenario())


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault.CONFLICT_NOT_DONE, "conflict"),
        (Fault.ERROR_NOT_DONE, "failed"),
        (Fault.REQUEST_LOST, "no_response"),
    ],
)
def test_conflicts_and_failed_writes_are_counted_with_their_retries(
    service: Service, fault: Fault, outcome: str
) -> None:
    """One write that does not succeed, and the retry that does."""

    async def scenario() -> None:
        await service.append("s", "first", "a")
        name, faults = f"memory_store_call_seconds_count save {outcome}", [fault]
        before = await numbers(service)  # the trial of the store at the start has conflicts too
        service.sidecar.faults = lambda request: faults.pop() if is_write(request) and faults else Fault.NONE
        assert (await service.append("s", "second", "b")).status_code == 201
        found = await numbers(service)
        assert found[name] == before.get(name, 0) + 1
        assert found["memory_store_retries_total"] == 1

    run(scenario())


def test_errors_are_counted_by_status_and_code(service: Service) -> None:
    """What a client got, and a store that is down."""

    async def scenario() -> None:
        await service.append("s", "first", "a")
        assert (await service.append("s", "second", "b", user="other")).status_code == 403
        service.sidecar.faults = lambda request: Fault.UNREACHABLE
        await service.http.get("/memories/u")
        found = await numbers(service)
        assert found["memory_error_responses_total not_owner 403"] == 1
        assert found["memory_error_responses_total store_unavailable 503"] == 1

    run(scenario())


def test_items_of_the_due_list_are_counted(service: Service) -> None:
    """A deleted session is swept four times: three sweeps leave another one, the last does not."""

    async def scenario() -> None:
        for turn in range(20):
            await service.append("s", str(turn), "a", "b")
        await service.http.delete("/conversations/s?user_id=u")
        for _ in range(70):
            await skip(MINUTE_SECONDS)
            await service.memory.due_worker.run_pass()
        found = await numbers(service)
        assert found["memory_due_items_total sweep again"] == 3
        assert found["memory_due_items_total sweep done"] == 1
        assert found["memory_due_items_at_work"] == 0

    run(scenario())


def test_failed_due_items_are_counted(service: Service) -> None:
    """A sweep whose store is down is due again, and at work no more."""

    async def scenario() -> None:
        for turn in range(20):
            await service.append("s", str(turn), "a", "b")
        await service.http.delete("/conversations/s?user_id=u")
        await skip(3 * MINUTE_SECONDS)
        service.sidecar.faults = lambda request: (
            Fault.ERROR_NOT_DONE if named(request).startswith("get session:s") else Fault.NONE
        )
        await service.memory.due_worker.run_pass()
        found = await numbers(service)
        assert found["memory_due_items_total sweep failed"] == 1
        assert found["memory_due_items_at_work"] == 0

    run(scenario())


def test_the_lag_of_the_due_list_grows_while_nobody_works_on_it(service: Service) -> None:
    """It is zero after a pass, grows with each minute without one, and is zero after the next."""

    async def scenario() -> None:
        assert (await numbers(service))["memory_due_lag_seconds"] == 0
        await service.memory.due_worker.run_pass()
        assert (await numbers(service))["memory_due_lag_seconds"] == 0
        await skip(10 * MINUTE_SECONDS)
        assert (await numbers(service))["memory_due_lag_seconds"] == 10 * MINUTE_SECONDS
        await service.memory.due_worker.run_pass()
        assert (await numbers(service))["memory_due_lag_seconds"] == 0

    run(scenario())


def test_the_lag_of_the_due_list_is_known_at_the_start(service: Service) -> None:
    """A process that finds old minutes reports them while it cannot work on them."""

    async def scenario() -> None:
        await service.memory.due_worker.run_pass()
        restarted = Service(create_app(SETTINGS, sidecar_transport=service.sidecar), service.dapr, service.sidecar)
        await skip(10 * MINUTE_SECONDS)
        service.sidecar.faults = lambda request: (
            Fault.ITEM_ERRORS if named(request).startswith("bulk due:") else Fault.NONE
        )
        with pytest.raises(Exception, match="store"):
            await restarted.memory.due_worker.run_pass()
        # The list began with the minute before the current one; the two newest minutes are never done.
        assert (await numbers(restarted))["memory_due_lag_seconds"] == 9 * MINUTE_SECONDS

    run(scenario())


def test_no_label_has_an_id_or_a_text(service: Service) -> None:
    """Nothing that a person sent, and no id, is in the metrics."""

    async def scenario() -> None:
        await service.append("s-unseen", "t-unseen", "a secret", user="alice-of-paris")
        await service.append("s-unseen", "t-unseen2", "a secret", user="mallory")
        await service.http.delete("/memories/alice-of-paris")
        shown = (await service.http.get("/metrics")).text
        assert "memory_appended_turns_total" in shown
        for secret in ("unseen", "secret", "alice", "mallory", "session:"):
            assert secret not in shown

    run(scenario())


def test_each_app_has_its_own_numbers(service: Service) -> None:
    """A second app in one process begins at zero."""

    async def scenario() -> None:
        await service.append("s", "t", "a")
        sidecar = Sidecar(service.dapr)
        other = Service(create_app(SETTINGS, sidecar_transport=sidecar), service.dapr, sidecar)
        assert "memory_appended_turns_total new" not in await numbers(other)

    run(scenario())
