"""How a test of one rule sets its clients up and ends."""

from collections.abc import Mapping, Sequence

from tests.fake_wire import JSON
from tests.history_oracle import View
from tests.simulation import Simulation
from tests.store_checks import check_store
from tests.verdict import judge
from tests.workload import Operation


class Simulate:
    """Starts simulations, each client on a replica of its own, so that no lock of a process keeps them apart."""

    def __init__(self) -> None:
        self._started: list[Simulation] = []

    def __call__(
        self,
        *programs: Sequence[Operation],
        before: Sequence[Operation] = (),
        seeds: Mapping[str, JSON] | None = None,
    ) -> Simulation:
        simulation = Simulation(programs, before, seeds, replicas=len(programs))
        self._started.append(simulation)
        return simulation

    def close(self) -> None:
        for simulation in self._started:
            simulation.close()


def settled(simulation: Simulation, session: str = "s") -> View:
    """Let the rest happen, check everything, and return the session as it is left."""
    simulation.finish()
    judge(simulation)
    check_store(simulation.dapr, simulation.page)
    return simulation.observer.now[session]
