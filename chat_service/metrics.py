"""What this service measures, in Prometheus' format. Each app has its own numbers.

No label holds an id of a person, a session or a turn. docs/operations.md says what each number is for.
"""

from collections.abc import Callable
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from errors import ServiceError
from models import Metadata

TURN_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0)
"""Bounds in seconds for a turn and its model: from the offline model's turn to the default limit of a turn."""
MEMORY_BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 6.0)
"""Bounds in seconds for reads and saves: from a fast store to the limits of a call (4 s) and of a save (6 s)."""
LAG_BUCKETS = (0, 10, 50, 100, 500, 1000)
"""Bounds in messages for the summary lag. Without a lag a turn counts in the first one."""
MAX_CODES = 100
"""Number of different codes that become labels, further ones count as `other`: some come from other services."""

Part = Literal["read", "model", "save"]
"""A part of a turn that is measured by itself."""
CallbackOutcome = Literal["delivered", "not_delivered", "dropped"]
SummaryOutcome = Literal["stored", "overtaken", "failed", "skipped"]


class Metrics:
    """The numbers of one app."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double the number of series
        self._registry = CollectorRegistry()
        self._codes: set[str] = set()
        ProcessCollector(registry=self._registry)
        self._turns = self._counter("chat_turns", "Turns that ended, by outcome.", "outcome")
        self._failed = self._counter("chat_failed_turns", "Turns without a reply, by error.", "status", "code")
        self._unsaved = self._counter("chat_unsaved_turns", "Replies whose turn was not or maybe not saved.", "code")
        self._late_saves = self._counter("chat_late_saves", "Saves that a reply did not wait for.", "outcome")
        self._turn_seconds = self._seconds("chat_turn_seconds", "A turn until its response.", TURN_BUCKETS)
        self._part_seconds: dict[Part, Histogram] = {
            "read": self._seconds("chat_read_seconds", "The reads of memory before the model runs.", MEMORY_BUCKETS),
            "model": self._seconds("chat_model_seconds", "The model with its tools, all calls.", TURN_BUCKETS),
            "save": self._seconds("chat_save_seconds", "The save with its retries.", MEMORY_BUCKETS),
        }
        self._first_token_seconds = self._seconds(
            "chat_first_token_seconds", "A streamed turn until its first text.", TURN_BUCKETS
        )
        self._summary_lag = Histogram(
            "chat_summary_lag_messages",
            "Earlier messages that a turn's model did not get, word for word or summarized.",
            buckets=LAG_BUCKETS,
            registry=self._registry,
        )
        self._summaries = self._counter("chat_summaries", "Summaries, by outcome.", "outcome")
        self._callbacks = self._counter("chat_callbacks", "Callbacks, by outcome.", "outcome")
        self._errors = self._counter("chat_error_responses", "Error responses, by status and code.", "status", "code")
        self._running = Gauge("chat_running_turns", "Turns that run now.", registry=self._registry)

    def text(self) -> bytes:
        """All numbers in Prometheus' text format."""
        return generate_latest(self._registry)

    def watch_running_turns(self, count: Callable[[], int]) -> None:
        """Ask this function for the number of running turns."""
        self._running.set_function(count)

    def turn_replied(self, metadata: Metadata, seconds: float, *, is_replay: bool) -> None:
        """A turn got its reply, from the model or from the history."""
        self._turns.labels("replayed" if is_replay else metadata.history).inc()
        self._turn_seconds.observe(seconds)
        self._summary_lag.observe(metadata.summary_lag or 0)
        self._note_unsaved(metadata)

    def turn_failed(self, error: type[ServiceError] | ServiceError, seconds: float) -> None:
        """A turn ended without a reply."""
        self._turns.labels("failed").inc()
        self._turn_seconds.observe(seconds)
        self._failed.labels(error.status, self._code(error.code)).inc()

    def part_ended(self, part: Part, seconds: float) -> None:
        """A part of a turn ended, well or not."""
        self._part_seconds[part].observe(seconds)

    def first_token(self, seconds: float) -> None:
        """A streamed turn got its first text."""
        self._first_token_seconds.observe(seconds)

    def late_save_ended(self, metadata: Metadata) -> None:
        """The save of a turn with a callback ended."""
        self._late_saves.labels(metadata.history).inc()
        self._note_unsaved(metadata)

    def summary_ended(self, outcome: SummaryOutcome) -> None:
        """A summary ended, or was not started."""
        self._summaries.labels(outcome).inc()

    def callback_ended(self, outcome: CallbackOutcome) -> None:
        """A callback ended. It is dropped if its turn gave no reply."""
        self._callbacks.labels(outcome).inc()

    def error_response(self, error: ServiceError) -> None:
        """A request got an error of this service."""
        self._errors.labels(error.status, self._code(error.code)).inc()

    def _note_unsaved(self, metadata: Metadata) -> None:
        if metadata.history in ("not_saved", "unknown"):
            self._unsaved.labels(self._code(metadata.code or "none")).inc()

    def _code(self, code: str) -> str:
        if code not in self._codes and len(self._codes) >= MAX_CODES:
            return "other"
        self._codes.add(code)
        return code

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def _seconds(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, f"{text} In seconds.", buckets=buckets, registry=self._registry)
