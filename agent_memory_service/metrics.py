"""What this service measures, in Prometheus' format. Each app has its own numbers.

No label holds an id of a person, a session or a turn. docs/operations.md says what each number is for.
"""

from collections.abc import Callable
from typing import Literal, TypeAlias

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

STORE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 5.0, 10.0)
"""Bounds in seconds for a call to the store: from a fast store to the limits of a call (1.5 s) and a bulk read (10 s).
"""

Operation: TypeAlias = Literal["get", "get_many", "save", "delete", "metadata"]
"""A kind of call to the sidecar."""
CallOutcome: TypeAlias = Literal["ok", "conflict", "failed", "no_response"]
DueOutcome: TypeAlias = Literal["done", "again", "failed"]


class Metrics:
    """The numbers of one app."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double the number of series
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._store_call_seconds = Histogram(
            "memory_store_call_seconds",
            "A call to the state store, in seconds.",
            ("operation", "outcome"),
            buckets=STORE_BUCKETS,
            registry=self._registry,
        )
        self._store_retries = self._counter("memory_store_retries", "Writes that were tried again.")
        self._turns = self._counter("memory_appended_turns", "Turns appended, new or replayed.", "outcome")
        self._due_items = self._counter("memory_due_items", "Items of the due list, by outcome.", "kind", "outcome")
        self._due_items_at_work = Gauge(
            "memory_due_items_at_work", "Items of the due list that are worked on now.", registry=self._registry
        )
        self._due_lag_seconds = Gauge(
            "memory_due_lag_seconds", "Age of the oldest minute with due items left.", registry=self._registry
        )
        self._errors = self._counter("memory_error_responses", "Error responses, by status and code.", "status", "code")
        for error in ServiceError.__subclasses__():
            self._errors.labels(error.status, error.code)  # 0: an increase from nothing is none to Prometheus

    def text(self) -> bytes:
        """Return all numbers in Prometheus' text format."""
        return generate_latest(self._registry)

    def store_called(self, operation: Operation, outcome: CallOutcome, seconds: float) -> None:
        """Measure a call to the store. Its outcome is `conflict` if the etag did not match."""
        self._store_call_seconds.labels(operation, outcome).observe(seconds)

    def write_retried(self) -> None:
        """Count an attempt after a conflict or a failed write."""
        self._store_retries.inc()

    def turn_appended(self, *, replayed: bool) -> None:
        """Count a turn that is in its history now, or was before."""
        self._turns.labels("replayed" if replayed else "new").inc()

    def due_items_begun(self, count: int) -> None:
        """Note that work on items of the due list begins."""
        self._due_items_at_work.inc(count)

    def due_item_ended(self, kind: str, outcome: DueOutcome) -> None:
        """Count an item that is done, is due again later, or failed and is due again."""
        self._due_items_at_work.dec()
        self._due_items.labels(kind, outcome).inc()

    def watch_due_lag(self, seconds: Callable[[], float]) -> None:
        """Ask this function how far the due list is behind."""
        self._due_lag_seconds.set_function(seconds)

    def error_response(self, error: ServiceError) -> None:
        """Count an error response of this service."""
        self._errors.labels(error.status, error.code).inc()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self._registry)
