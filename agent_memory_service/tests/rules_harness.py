"""How the tests of single rules start and end a simulation."""

from collections.abc import Mapping, Sequence

from tests.fake_wire import JSON
from tests.history_oracle import View
from tests.simulation import Simulation
from tests.store_checks import check_store
from tests.store_kinds import StoreKind
from tests.verdict import judge
from tests.workload import Operation


class Simulate:
    """Starts simulations. Each client has its own replica, so that no lock of a process separates them."""

    def __init__(self, kind: StoreKind) -> None:
        self._kind = kind
        self._started: list[Simulation] = []

    def __call__(
        self,
        *programs: Sequence[Operation],
        before: Sequence[Operation] = (),
        seeds: Mapping[str, JSON] | None = None,
        pause_seconds: float = 0.0,
    ) -> Simulation:
        simulation = Simulation(
            programs, before, seeds, replicas=len(programs), kind=self._kind, pause_seconds=pause_seconds
        )
        self._started.append(simulation)
        return simulation

    def close(self) -> None:
        for simulation in self._started:
            simulation.close()


def settled(simulation: Simulation, session: str = "s") -> View:
    """Run the rest of a simulation and all that is due, check everything, and return the session's final state."""
    simulation.finish()
    judge(simulation)
    check_store(simulation.dapr, simulation.page)
    simulation.finish_what_is_due()
    judge(simulation)
    check_store(simulation.dapr, simulation.page, nothing_is_due=True)
    return simulation.observer.now[session]
