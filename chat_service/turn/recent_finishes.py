"""The finish reasons of recent replies, kept for repeated requests.

The memory service keeps a turn's messages, but not the model's reason to end the reply. So this process remembers it.
"""

from collections import OrderedDict

from models import Response

MAX_FINISHES = 4_096
"""Number of turns remembered, about half a megabyte. A client repeats a request within minutes."""


class RecentFinishes:
    """The finish reasons of this process's newest turns, so that a repeated request gets the same metadata."""

    def __init__(self) -> None:
        self._by_turn: OrderedDict[str, tuple[int, str]] = OrderedDict()
        """With the hash of the reply, since another replica may have saved another one for the same turn."""

    def remember(self, response: Response) -> None:
        """Keep the reply's finish reason. The oldest one is forgotten when there are too many."""
        finish = response.metadata.finish
        if finish is None:
            return
        self._by_turn[response.metadata.turn_id] = (hash(response.reply), finish)
        if len(self._by_turn) > MAX_FINISHES:
            self._by_turn.popitem(last=False)

    def of(self, response: Response) -> str | None:
        """The finish reason of a recorded reply; None if it is not known."""
        reply_hash, finish = self._by_turn.get(response.metadata.turn_id, (None, None))
        return finish if reply_hash == hash(response.reply) else None
