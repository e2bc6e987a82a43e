"""Leaves alone for a while what keeps failing."""

from collections import OrderedDict
from dataclasses import dataclass

LONGEST_WAIT_TURNS = 64
"""Largest number of turns between two attempts. A session of that many turns is still worth a summary."""
MAX_FAILING = 10_000
"""Number of failing sessions remembered. The oldest is forgotten, which costs one attempt too many."""


@dataclass
class _Failures:
    count: int = 0
    turns_to_wait: int = 0


class TurnBackoff:
    """Exponential backoff of each session, counted in its turns: after 1, 2, 4, 8 ... turns it is tried again."""

    def __init__(self) -> None:
        self._failing: OrderedDict[str, _Failures] = OrderedDict()

    def allows(self, session_id: str) -> bool:
        """Whether this turn of the session may try. Call it once for each turn."""
        failures = self._failing.get(session_id)
        if failures is None or failures.turns_to_wait == 0:
            return True
        failures.turns_to_wait -= 1
        return False

    def failed(self, session_id: str) -> None:
        """Note a failure."""
        failures = self._failing.setdefault(session_id, _Failures())
        failures.count += 1
        failures.turns_to_wait = min(2 ** (failures.count - 1), LONGEST_WAIT_TURNS) - 1
        self._failing.move_to_end(session_id)
        if len(self._failing) > MAX_FAILING:
            self._failing.popitem(last=False)

    def succeeded(self, session_id: str) -> None:
        """Forget the session's failures."""
        self._failing.pop(session_id, None)
