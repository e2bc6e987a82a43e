"""The cursor: a position in a log that a client sends back to read the entries before it."""

from dataclasses import dataclass

from errors import StaleCursor

CURSOR_PATTERN = r"^[0-9]{1,15}(-[0-9a-f]{1,32})?$"
"""The text form: an entry number, and the epoch of the log. 15 digits stay below 2^53, the limit of JSON integers."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position before entry `number`. Without an epoch it is valid in any epoch of the log."""

    number: int
    epoch: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read the text form; it must match CURSOR_PATTERN."""
        number, _, epoch = text.partition("-")
        return cls(int(number), epoch or None)

    def format(self) -> str:
        """Return the text form."""
        return f"{self.number}-{self.epoch}" if self.epoch else str(self.number)

    def check(self, epoch: str) -> None:
        """Raise StaleCursor if the log has another epoch by now."""
        if self.epoch not in (None, epoch):
            raise StaleCursor
