"""One log line for each turn: its ids, its outcome, and the duration of each part. It contains no message text."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import trace_context
from errors import ServiceError
from models import Metadata
from turn.request import TurnRequest
from unexpected_errors import described

logger = logging.getLogger("chat_service.turn")


class TurnLog:
    """Collects the fields of one turn's line and writes it."""

    def __init__(self, request: TurnRequest) -> None:
        self._request = request
        self._started_at = time.perf_counter()
        self._durations: list[str] = []

    @contextmanager
    def measured(self, part: str) -> Iterator[None]:
        """Measure a part of the turn in milliseconds, also if it fails."""
        started_at = time.perf_counter()
        try:
            yield
        finally:
            self._durations.append(f"{part}_ms={_milliseconds_since(started_at):.1f}")

    def write_reply(self, metadata: Metadata) -> None:
        """Write the line of a turn with a reply. A reply with a code or a summary lag is a warning."""
        optional = (("code", metadata.code), ("context", metadata.context), ("summary_lag", metadata.summary_lag))
        problems = [f"{name}={value}" for name, value in optional if value]
        outcome = (
            f"status=200 history={metadata.history} memory={metadata.memory} model={metadata.model} "
            f"finish={'stopped' if metadata.stopped else metadata.finish or '-'}"
        )
        is_success = not problems and metadata.memory == "ok"
        self._write(" ".join([outcome, *problems]), is_success=is_success)

    def write_failure(self, failure: type[ServiceError] | ServiceError, cause: BaseException | None = None) -> None:
        """Write the line of a turn without a reply. A failure that is not the client's is a warning.

        Of a cause only the type and the place are written.
        """
        outcome = f"status={failure.status} code={failure.code}"
        if cause is not None:
            outcome += f" error={described(cause).replace(' ', '_')}"
        self._write(outcome, is_success=failure.status < 500)

    def write_late_save(self, metadata: Metadata) -> None:
        """Write the outcome of a save that the reply did not wait for."""
        logger.log(
            _level(is_success=metadata.history == "saved"),
            "late save %s history=%s code=%s",
            self._ids(),
            metadata.history,
            metadata.code or "-",
        )

    def _write(self, outcome: str, *, is_success: bool) -> None:
        logger.log(
            _level(is_success=is_success),
            "turn %s %s %s total_ms=%.1f",
            self._ids(),
            outcome,
            " ".join(self._durations),
            _milliseconds_since(self._started_at),
        )

    def _ids(self) -> str:
        request = self._request
        trace_id = trace_context.trace_id()
        return f"user={request.user_id} session={request.session_id} turn_id={request.turn_id} trace={trace_id}"


def _level(*, is_success: bool) -> int:
    return logging.INFO if is_success else logging.WARNING


def _milliseconds_since(started_at: float) -> float:
    return (time.perf_counter() - started_at) * 1000
