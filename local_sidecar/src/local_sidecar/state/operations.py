"""One operation on one key, and why a store refuses one."""

from dataclasses import dataclass

CONSISTENCIES = ("", "strong", "eventual")
FIRST_WRITE, LAST_WRITE = "first-write", "last-write"
CONCURRENCIES = ("", FIRST_WRITE, LAST_WRITE)


@dataclass(frozen=True, slots=True)
class Operation:
    """A save or, when `value` is None, a deletion. `key` begins with the app id, as in the store.

    Empty strings stand for what the request does not state. `transactional`: it is part of a transaction.
    """

    key: str
    value: bytes | None
    etag: str = ""
    concurrency: str = ""
    consistency: str = ""
    ttl: str = ""
    transactional: bool = False

    def check_options(self) -> None:
        """Raise Refused for options that Dapr does not know."""
        if self.consistency not in CONSISTENCIES:
            raise Refused(500, f"unrecognized consistency model '{self.consistency}'")
        if self.concurrency not in CONCURRENCIES:
            raise Refused(500, f"unrecognized concurrency model '{self.concurrency}'")


class Refused(Exception):
    """The store does not carry out one operation. Dapr's status and text say why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class EtagMismatch(Refused):
    """409: the key does not have the etag that the operation states."""

    def __init__(self, why: str = "") -> None:
        super().__init__(409, "possible etag mismatch. error from state store" + (f": {why}" if why else ""))
