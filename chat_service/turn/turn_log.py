"""One line in the log for each turn: its ids, what became of it, how long each part took. Never what was said."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import trace_context
from models import Metadata, TurnRequest

log = logging.getLogger("chat_service.turn")


def set_up_logging() -> None:
    """Lines to stderr from INFO on; a line for every HTTP call, and the SDKs' own reports of failures, are too many."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for name in ("httpx", "httpx2", "openai"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


class TurnLog:
    """Collects what one turn's line says."""

    def __init__(self, request: TurnRequest) -> None:
        self._request = request
        self._began = time.perf_counter()
        self._parts: list[str] = []

    @contextmanager
    def measured(self, part: str) -> Iterator[None]:
        """Measure a part of the turn, in milliseconds, also where it fails."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._parts.append(f"{part}_ms={(time.perf_counter() - began) * 1000:.1f}")

    def write(self, outcome: str, *, is_well: bool) -> None:
        """Write the line."""
        log.log(
            logging.INFO if is_well else logging.WARNING,
            "turn %s %s %s total_ms=%.1f",
            self._ids(),
            outcome,
            " ".join(self._parts),
            (time.perf_counter() - self._began) * 1000,
        )

    def write_reply(self, told: Metadata) -> None:
        """Write the line of a turn that was answered."""
        flaws = [f"{name}={value}" for name, value in (("code", told.code), ("summary_lag", told.summary_lag)) if value]
        outcome = f"status=200 history={told.history} memory={told.memory} model={told.model}"
        self.write(" ".join([outcome, *flaws]), is_well=not flaws and told.memory == "ok")

    def write_late_save(self, told: Metadata) -> None:
        """Write what became of a save that the reply did not wait for."""
        is_well = told.history == "saved"
        log.log(
            logging.INFO if is_well else logging.WARNING,
            "late save %s history=%s code=%s",
            self._ids(),
            told.history,
            told.code or "-",
        )

    def _ids(self) -> str:
        request = self._request
        trace_id = trace_context.trace_id()
        return f"user={request.user_id} session={request.session_id} turn_id={request.turn_id} trace={trace_id}"
