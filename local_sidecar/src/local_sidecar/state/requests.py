"""What a request to the state API wants written or read, and the writes to the store that follow from it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from local_sidecar.errors import malformed
from local_sidecar.state.bodies import Fields, document_of, fields_of, items_of, strings_of, text_of, wrong_type
from local_sidecar.state.store import ANY_VERSION, Write
from local_sidecar.state.values import Document

CONSISTENCIES = ("", "strong", "eventual")
FIRST_WRITE, LAST_WRITE = "first-write", "last-write"
CONCURRENCIES = ("", FIRST_WRITE, LAST_WRITE)
INT64 = range(-(2**63), 2**63)

_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")


class Refused(Exception):
    """One write that the store does not take, with the status that says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Entry:
    """A key as a request names it, with what is to become of it."""

    key: str
    value: bytes | None
    etag: str
    concurrency: str
    consistency: str
    metadata: dict[str, str]

    def checked(self, prefix: str) -> Write:
        """The write to the store: a save, or with no value a deletion. Raises Refused for unknown options."""
        if self.consistency not in CONSISTENCIES:
            raise Refused(500, f"unrecognized consistency model '{self.consistency}'")
        if self.concurrency not in CONCURRENCIES:
            raise Refused(500, f"unrecognized concurrency model '{self.concurrency}'")
        return self.as_delete(prefix) if self.value is None else self.as_save(prefix, self.concurrency == FIRST_WRITE)

    def as_save(self, prefix: str, marks: bool) -> Write:
        """The save. Raises Refused for an etag or a time to live that is no number."""
        return Write(prefix + self.key, self.value, self._expected(), marks, self._ttl())

    def as_delete(self, prefix: str) -> Write:
        """The deletion; here the etag is compared as text."""
        return Write(prefix + self.key, None, self.etag or ANY_VERSION)

    def _expected(self) -> str:
        if self.concurrency == LAST_WRITE or not self.etag:
            return ANY_VERSION
        return str(_whole_number(self.etag, 400, "invalid etag value: strconv.Atoi"))

    def _ttl(self) -> int | None:
        ttl = self.metadata.get("ttlInSeconds")
        return _whole_number(ttl, 500, "failed to parse ttl from metadata: strconv.ParseInt") if ttl else None


def saves_of(body: bytes, metadata: dict[str, str]) -> list[Entry]:
    """The entries of a save. The query's metadata outranks theirs."""
    document = document_of(body)
    entries = [entry_of(document, fields_of(item), metadata) for item in items_of(document.value)]
    for entry in entries:
        if not entry.key:
            raise malformed('"key" is a required field')
        check_key(entry.key)
    return entries


def keys_of(body: bytes) -> list[str]:
    """The keys of a bulk read."""
    fields = fields_of(document_of(body).value)
    if not isinstance(fields.get("parallelism"), int | None):
        raise wrong_type(fields["parallelism"], "int")
    strings_of(fields, "metadata")
    keys: list[str] = []
    for key in items_of(fields.get("keys")):
        if not isinstance(key, str | None):
            raise wrong_type(key, "string")
        keys.append(key or "")
    return keys


def operations_of(body: bytes, metadata: dict[str, str]) -> Iterator[tuple[str, Entry]]:
    """The operations of a transaction, by name."""
    document = document_of(body)
    for item in items_of(fields_of(document.value).get("operations")):
        fields = fields_of(item)
        yield text_of(fields, "operation"), entry_of(document, fields_of(fields.get("request")), metadata)


def entry_of(document: Document, fields: Fields, metadata: dict[str, str]) -> Entry:
    """One entry of a request. A missing value is null."""
    options = fields_of(fields.get("options"))
    text_of(fields, "contenttype")
    return Entry(
        key=text_of(fields, "key"),
        value=document.written(fields.get("value")),
        etag=text_of(fields, "etag"),
        concurrency=text_of(options, "concurrency"),
        consistency=text_of(options, "consistency"),
        metadata=strings_of(fields, "metadata") | metadata,
    )


def check_key(key: str) -> None:
    """Raise ApiError 400 for a key that could reach into another app's."""
    if "||" in key:
        problem = f"api error: code = InvalidArgument desc = input key/keyPrefix '{key}' can't contain '||'"
        raise malformed(problem, "DAPR_STATE_ILLEGAL_KEY")


def _whole_number(text: str, status: int, reader: str) -> int:
    if not _WHOLE_NUMBER.fullmatch(text):
        raise Refused(status, f"{reader}: parsing {json.dumps(text)}: invalid syntax")
    if len(text) > 40 or int(text) not in INT64:
        raise Refused(status, f"{reader}: parsing {json.dumps(text)}: value out of range")
    return int(text)
