"""One log line for each turn: its ids, its outcome, and the duration of each part. It contains no message text.

The same durations and outcomes are counted in the metrics, without the ids.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import trace_context
import tracing
from agent.progress import Delta, Emit, Progress
from errors import ServiceError
from metrics import Metrics, Part
from models import Metadata
from turn.request import TurnRequest
from unexpected_errors import described

logger = logging.getLogger("chat_service.turn")


class TurnLog:
    """Collects the fields of one turn's line, writes it and counts the turn."""

    def __init__(self, request: TurnRequest, metrics: Metrics) -> None:
        self._request = request
        self._metrics = metrics
        self._started_at = time.perf_counter()
        self._durations: list[str] = []
        self.is_replay = False
        """The reply was found in the history."""

    @contextmanager
    def measured(self, part: Part) -> Iterator[None]:
        """Measure a part of the turn in milliseconds, also if it fails. It is a span of the turn's."""
        started_at = time.perf_counter()
        try:
            with tracing.span(part):
                yield
        finally:
            seconds = time.perf_counter() - started_at
            self._durations.append(f"{part}_ms={seconds * 1000:.1f}")
            self._metrics.part_ended(part, seconds)

    def noting_first_token(self, emit: Emit) -> Emit:
        """The same function. It also measures the time until the first text."""
        has_text = False

        def emit_noted(progress: Progress) -> None:
            nonlocal has_text
            if not has_text and isinstance(progress, Delta):
                has_text = True
                self._metrics.first_token(self._seconds)
            emit(progress)

        return emit_noted

    @property
    def _seconds(self) -> float:
        """The turn's duration so far."""
        return time.perf_counter() - self._started_at

    def write_reply(self, metadata: Metadata) -> None:
        """Write the line of a turn with a reply. A reply with a code or a summary lag is a warning."""
        self._metrics.turn_replied(metadata, self._seconds, is_replay=self.is_replay)
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
        self._metrics.turn_failed(failure, self._seconds)
        outcome = f"status={failure.status} code={failure.code}"
        if cause is not None:
            outcome += f" error={described(cause).replace(' ', '_')}"
        self._write(outcome, is_success=failure.status < 500)

    def write_late_save(self, metadata: Metadata) -> None:
        """Write the outcome of a save that the reply did not wait for."""
        self._metrics.late_save_ended(metadata)
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
            self._seconds * 1000,
        )

    def _ids(self) -> str:
        request = self._request
        trace_id = trace_context.trace_id()
        return f"user={request.user_id} session={request.session_id} turn_id={request.turn_id} trace={trace_id}"


def _level(*, is_success: bool) -> int:
    return logging.INFO if is_success else logging.WARNING
