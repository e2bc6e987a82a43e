"""Bounds how many of one kind of work are under way at once."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from errors import ServiceError

REPORT_SECONDS = 10.0
"""Seconds between two lines about the same bound, so that an overload does not fill the log."""

logger = logging.getLogger("chat_service.slots")


class Slots:
    """A number of slots. When all are taken, further work is refused with `error`: nothing waits in a queue."""

    def __init__(self, limit: int, error: type[ServiceError]) -> None:
        self._limit = limit
        self._error = error
        self._taken = 0
        self._reported_at: float | None = None

    @property
    def taken(self) -> int:
        """The number of slots that are taken now."""
        return self._taken

    def take(self) -> None:
        """Take a slot. Raises the error if there is none."""
        if self._taken >= self._limit:
            self._report()
            raise self._error
        self._taken += 1

    def give_back(self) -> None:
        """Give a slot back."""
        self._taken -= 1

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold a slot within this context."""
        self.take()
        try:
            yield
        finally:
            self.give_back()

    def _report(self) -> None:
        now = time.monotonic()
        if self._reported_at is None or now - self._reported_at >= REPORT_SECONDS:
            self._reported_at = now
            logger.warning("requests are refused code=%s limit=%d", self._error.code, self._limit)
