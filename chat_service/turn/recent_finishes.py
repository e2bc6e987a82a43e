"""The finish reasons of recent replies, kept for repeated requests.

The memory service keeps a turn's messages, but not the model's reason to end the reply. So this process remembers it.
"""

from collections import OrderedDict

MAX_FINISHES = 4_096
"""Number of turns remembered, about half a megabyte. A client repeats a request within minutes."""


class RecentFinishes:
    """The finish reasons of this process's newest turns, so that a repeated request gets the same metadata."""

    def __init__(self) -> None:
        self._by_turn: OrderedDict[str, str] = OrderedDict()

    def remember(self, turn_id: str, finish: str | None) -> None:
        """Keep the finish reason of a saved turn. The oldest one is forgotten when there are too many."""
        if finish is None:
            return
        self._by_turn[turn_id] = finish
        if len(self._by_turn) > MAX_FINISHES:
            self._by_turn.popitem(last=False)

    def of(self, turn_id: str) -> str | None:
        """The turn's finish reason; None if it is not known."""
        return self._by_turn.get(turn_id)
