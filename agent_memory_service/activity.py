"""When a session was active: the rules of activity marks in a user's list of sessions. Pure.

A turn adds a mark if the session's last one is older than ACTIVITY_SECONDS: first to the list, then its id (`active`)
and its time (`active_at`) to the session's head, with the turn. A session without marks has its entry as the first one.
So an ordinary turn costs no call more, and a session stands at most ACTIVITY_SECONDS too far back.
"""

from datetime import UTC, datetime

from documents import JSON, Document, Entry

ACTIVITY_SECONDS = 600
"""Age of a session's last mark, in seconds, after which a turn adds another one. It exceeds the deadline of a turn and
any difference of clocks: so a mark that a head names is newer than the one it named before."""

_MARK = "activity"


def mark_entry(session_id: str, mark: str, at: str) -> Entry:
    """Return the list's entry of an activity mark."""
    return {"session_id": session_id, "timestamp": at, "turn_id": mark, "kind": _MARK}


def is_mark(entry: Entry) -> bool:
    """Return whether an entry of a list is an activity mark."""
    return entry.get("kind") == _MARK


def named(fields: Document) -> str | None:
    """Return the id of the session's newest mark, given the fields of its head."""
    mark = fields.get("active", fields.get("listed"))
    return mark if isinstance(mark, str) else None


def is_due(fields: Document, now: float) -> bool:
    """Return whether a turn has to mark the session."""
    return now - _marked_at(fields) > ACTIVITY_SECONDS


def is_overtaken(mark: Entry, fields: Document) -> bool:
    """Return whether a mark will never be the session's newest one.

    A head names marks of growing times only: a turn adds one only if the named one is old. A mark that is newer than
    the named one may be of a turn that is about to write the head.
    """
    return named(fields) != mark["turn_id"] and moment(mark["timestamp"]) < _marked_at(fields)


def moment(*times: JSON) -> float:
    """Return the first of these that is an ISO time, in seconds since 1970; 0 if none is. Clients send any text."""
    for time in times:
        try:
            at = datetime.fromisoformat(str(time))
        except ValueError:
            continue
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return 0.0


def _marked_at(fields: Document) -> float:
    return moment(fields.get("active_at"), fields.get("created"))
