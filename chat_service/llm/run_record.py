"""What the model's wire learns about a run that the agents SDK does not pass on: how the last reply ended.

The wire is called deep inside the SDK, in tasks that the SDK starts. A context variable reaches them all.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

OTHER_FINISH = "other"
"""Reported for a finish reason that is not a plain word: text of the endpoint is never passed on."""

_DONE = frozenset({"stop", "eos", "eos_token", "stop_sequence", "end_turn"})
"""How endpoints call the end of a reply that is whole."""
_WORD = re.compile(r"[A-Za-z_]{1,32}")


@dataclass
class RunRecord:
    """How the run's last model call ended, and how many calls gave a reply."""

    finish: str | None = None
    replies: int = 0

    @property
    def is_cut(self) -> bool:
        """Whether the last reply ended for another reason than that the model was done."""
        return self.finish is not None and self.finish not in _DONE


_current: ContextVar[RunRecord | None] = ContextVar("run_record", default=None)


@contextmanager
def recorded_run() -> Iterator[RunRecord]:
    """Record the model calls made within this context, and in the tasks that are started in it."""
    record = RunRecord()
    token = _current.set(record)
    try:
        yield record
    finally:
        _current.reset(token)


def note_reply(finish: str | None) -> None:
    """Record that the model ended a reply, with its finish reason if it gave one."""
    record = _current.get()
    if record is not None:
        record.replies += 1
        record.finish = None if finish is None else _as_word(finish)


def last_finish() -> str | None:
    """The finish reason of the run's last reply; None if there is none or it gave none."""
    record = _current.get()
    return record.finish if record else None


def _as_word(reason: str) -> str:
    return reason.lower() if _WORD.fullmatch(reason) else OTHER_FINISH
