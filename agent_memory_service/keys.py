"""How the Dapr keys of this service are made. No other module builds a key."""

LONGEST_KEY_CHARS = 200
"""Longest key, in characters: a prefix, an id of 128, an epoch of 16, and the name of what belongs to the epoch."""

HEALTH_PROBE_KEY = "health-probe"
"""Read by the readiness check and never written. Dapr's own health endpoint does not reach the store; a read does."""


def probe_key(token: str, name: str) -> str:
    """A key that the service writes to learn about its store. `token` is random, so that no two processes share it."""
    return f"store-probe:{token}:{name}"


def user_key(user_id: str) -> str:
    """The key of a user's profile."""
    return f"user:{user_id}"


def session_key(session_id: str) -> str:
    """The key of a session's head."""
    return f"session:{session_id}"


def list_key(user_id: str) -> str:
    """The key of the head of a user's list of sessions."""
    return f"sessions-of:{user_id}"


def page_key(log_key: str, epoch: str, number: int) -> str:
    """The key of one page of a log; `log_key` is the key of the log's head."""
    return f"{log_key}:{epoch}:{number}"


def spilled_id_key(log_key: str, epoch: str, digest: str) -> str:
    """The key of an entry id that slid out of the head's memory lately."""
    return f"{log_key}:{epoch}:id:{digest}"


DUE_DONE_KEY = "due:done"
"""The last minute of the due list whose buckets are done."""


def due_key(minute: int, number: int) -> str:
    """The key of one bucket of the due list; `minute` counts from 1970."""
    return f"due:{minute}:{number}"
