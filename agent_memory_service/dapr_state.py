"""The documents of the state store: each is read and saved whole, by key, with an etag.

dapr_wire.py makes the calls; this module says what their responses mean.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain

from pydantic_core import from_json, to_json

from dapr_wire import (
    BULK_TIMEOUT_SECONDS,
    CALL_TIMEOUT_SECONDS,
    EXPECTED_STATUSES,
    MAX_REQUEST_BYTES,
    ConnectionCut,
    DaprWire,
    SidecarResponse,
)
from documents import JSON, Document
from errors import StoreUnavailable
from keys import HEALTH_PROBE_KEY
from process_limit import ProcessLimit
from store_probe import StoreProbe
from store_traits import ABSENT, NO_TTL, Etag, parsed

BULK_SAVE_BYTES = 512 * 1024
"""Most bytes of documents in one bulk save: a slow store still finishes in time, and the calls stay few."""
DELETES_AT_ONCE = 8
"""Most deletes of one operation at the same time: a sweep of a long history leaves the store to others too."""
DELETES_OF_PROCESS_AT_ONCE = 16
"""Most deletes of all operations at the same time: many sweeps leave the store to others too."""

logger = logging.getLogger("agent_memory_service.state")


class EtagMismatch(Exception):
    """`key` did not have `etag`. An earlier attempt of this write may be the reason: read again before a retry."""

    def __init__(self, key: str, etag: Etag) -> None:
        self.key = key
        self.etag = etag
        super().__init__()


class WriteUncertain(StoreUnavailable):
    """A write failed or got no response. It may have been done: read again before a retry.

    `refused` is true if the store responded with an error.
    """

    def __init__(self, *, refused: bool) -> None:
        self.refused = refused
        super().__init__()


class ValueUnreadable(StoreUnavailable):
    """The store responds, but not with a document at `key`: its value is damaged, or encrypted with another key."""

    def __init__(self, key: str) -> None:
        logger.error("the value of a key cannot be read: %s", key)
        super().__init__(
            f"The store responds, but its value of {key} cannot be read. It is damaged, or it was encrypted with "
            "another key. Report it; the value was not changed."
        )


class BulkReadFailed(StoreUnavailable):
    """The sidecar responded to a bulk read with an error, of a key or of all, or cut the connection.

    One value may be damaged, or all together may be too much for the store's own timeout. Fewer keys may succeed.
    `of_all` is true if each key had an error.
    """

    def __init__(self, *, of_all: bool = False) -> None:
        self.of_all = of_all
        super().__init__()


@dataclass(frozen=True, slots=True)
class Stored:
    """A document with the etag it was read with. A conditional save names that etag."""

    value: Document
    etag: str


@dataclass(frozen=True, slots=True)
class BulkRead:
    """What one bulk read returned, in the order of its keys: documents, None for a missing key.

    `unreadable` has the positions of values that are no documents, `failed` those of keys that cannot be read although
    the store responds; `size_bytes` is the size of the response.
    """

    documents: Sequence[Document | None]
    unreadable: frozenset[int]
    size_bytes: int
    failed: frozenset[int] = frozenset()


class DaprState:
    """The documents of one state store. Writes follow what was learned about the store."""

    def __init__(self, wire: DaprWire, probe: StoreProbe) -> None:
        self._wire = wire
        self._probe = probe
        self._deletes = ProcessLimit(DELETES_OF_PROCESS_AT_ONCE)
        self._last_write_at: float | None = None
        self.on_failure: list[Callable[[], None]] = []
        """What is called when a call fails or gets no response: the store may restart, and lose its last writes."""

    async def get(self, key: str) -> Stored | None:
        """Return the document at `key`, None if the key is missing.

        Raises StoreUnavailable, ValueUnreadable if only this key cannot be read, and StoreUnsuitable.
        """
        await self._probe.check_readable()
        with self._noting_failure():
            response = await self._get(key)
            if response is None:
                await self.check_responds()
                response = await self._get(key)  # a store that came back just now can read it
            if response is None:
                raise ValueUnreadable(key)
        if response.status_code == 204:
            return None
        return Stored(_document(key, response.content), response.headers.get("etag", ""))

    async def check_responds(self) -> None:
        """Raise StoreUnavailable if the store fails: then a read that failed says nothing about its key."""
        with self._noting_failure():
            if await self._get(HEALTH_PROBE_KEY) is None:
                raise StoreUnavailable

    async def _get(self, key: str) -> SidecarResponse | None:
        """Read a key; None if the sidecar says that it failed. Raises StoreUnavailable without a response."""
        with suppress(ConnectionCut):
            response = await self._wire.get(key)
            if response.status_code in (200, 204):
                return response
        self._note_failure()
        return None

    async def get_together(self, keys: Sequence[str]) -> tuple[list[Stored | None], int]:
        """Read a few documents by one call, in the order of `keys`. Also returns the bytes of all of them as JSON.

        Dapr passes no consistency with such a read, so a store with replicas may return what was there before. Raises
        as `get` does.
        """
        await self._probe.check_readable()
        with suppress(BulkReadFailed), self._noting_failure():
            items, size_bytes = await self._get_many(keys, CALL_TIMEOUT_SECONDS)
            return [_stored(item) for item in items], size_bytes
        each = [await self.get(key) for key in keys]  # says so if only one cannot be read
        return each, sum(len(to_json(it.value)) for it in each if it)

    async def get_bulk(self, keys: Sequence[str]) -> BulkRead:
        """Read many documents by one call. Bound the number of keys (bulk_reads.py).

        Raises StoreUnavailable, BulkReadFailed if it may be another with fewer keys, and StoreUnsuitable.
        """
        await self._probe.check_readable()
        with self._noting_failure():
            items, size_bytes = await self._get_many(keys, BULK_TIMEOUT_SECONDS)
        documents = [_document_or_none(item.get("data")) for item in items]
        unreadable = (n for n, item in enumerate(items) if _has_value(item) and documents[n] is None)
        return BulkRead(documents, frozenset(unreadable), size_bytes)

    async def _get_many(self, keys: Sequence[str], timeout_seconds: float) -> tuple[list[Document], int]:
        """Return the items of a bulk read in the order of `keys`, and the bytes of all. Raises BulkReadFailed."""
        try:
            response = await self._wire.get_many(keys, timeout_seconds)
        except ConnectionCut:
            raise BulkReadFailed from None
        if response.status_code != 200:
            raise BulkReadFailed(of_all=True)
        return _items(keys, response.content), len(response.content)

    async def save(self, key: str, value: Document, etag: Etag, ttl_seconds: int | None = None) -> None:
        """Write `value` at `key` if the condition `etag` holds. Without a TTL the document stays.

        Raises EtagMismatch and WriteUncertain; after either, the write may have been done. Raises BodyTooLarge,
        StoreUnavailable, StoreUnsuitable and StoreRefusesWrites; then nothing was sent.
        """
        traits = await self._probe.traits()
        ttl = NO_TTL if ttl_seconds is None else str(ttl_seconds)
        # On some stores a creation that is refused has a status that other failures have too.
        mismatch = {409, traits.exists_status} if etag is ABSENT else {409}
        with self._noting_failure():
            status = await self._save([traits.item(key, value, etag, ttl)], mismatch)
            if status in mismatch:
                raise EtagMismatch(key, etag)
            if status != 204:
                raise WriteUncertain(refused=True)

    async def has_room(self, key: str, value: Document, spare_bytes: int) -> bool:
        """Whether a save of `value` at `key` fits into one request with so many bytes to spare.

        Raises StoreUnavailable, StoreUnsuitable and StoreRefusesWrites.
        """
        traits = await self._probe.traits()
        return len(traits.item(key, value)) + spare_bytes <= MAX_REQUEST_BYTES

    async def save_all(
        self,
        items: Iterable[tuple[str, Document]],
        expiring: Iterable[tuple[str, Document]] = (),
        ttl_seconds: int | None = None,
    ) -> None:
        """Write each document at its key and overwrite what is there; those that are `expiring` with a TTL.

        Not atomic. Raises WriteUncertain.
        """
        traits = await self._probe.traits()
        batch: list[bytes] = []
        size = 0
        stay = (traits.item(key, value) for key, value in items)
        expire = (traits.item(key, value, ttl=str(ttl_seconds)) for key, value in expiring)
        for item in chain(stay, expire):
            if batch and size + len(item) > BULK_SAVE_BYTES:
                await self._overwrite(batch)
                batch, size = [], 0
            batch.append(item)
            size += len(item)
        if batch:
            await self._overwrite(batch)

    async def delete_all(self, keys: Sequence[str]) -> None:
        """Delete `keys`; a missing key is no error. Nothing is read. Raises StoreUnavailable."""

        async def delete(key: str) -> None:
            async with self._deletes.place():
                await self.delete(key)

        for at in range(0, len(keys), DELETES_AT_ONCE):
            await asyncio.gather(*map(delete, keys[at : at + DELETES_AT_ONCE]))

    async def delete(self, key: str, etag: str | None = None) -> None:
        """Delete `key`, with an etag only if the key has it; a missing key may be refused then.

        Raises EtagMismatch and StoreUnavailable.
        """
        await self._probe.check_readable()
        with self._noting_failure():
            response = await self._wire.delete(key, etag)
            if response.status_code == 409 and etag is not None:
                raise EtagMismatch(key, etag)
            if response.status_code != 204:
                raise StoreUnavailable

    def wrote_within(self, seconds: float) -> bool:
        """Whether the last write succeeded, not longer ago than `seconds`."""
        now = asyncio.get_running_loop().time()
        return self._last_write_at is not None and now - self._last_write_at <= seconds

    async def _overwrite(self, items: Sequence[bytes]) -> None:
        with self._noting_failure():
            if await self._save(items) != 204:
                raise WriteUncertain(refused=True)

    @contextmanager
    def _noting_failure(self) -> Iterator[None]:
        try:
            yield
        except StoreUnavailable:
            self._note_failure()
            raise

    def _note_failure(self) -> None:
        for note in self.on_failure:
            note()

    async def _save(self, items: Sequence[bytes], expected: Iterable[int] = ()) -> int:
        """Write items and return the status. Raises WriteUncertain if there was no response."""
        try:
            response = await self._wire.save(items, expected={*EXPECTED_STATUSES, *expected})
        except StoreUnavailable as error:
            self._last_write_at = None
            raise WriteUncertain(refused=False) from error
        self._last_write_at = asyncio.get_running_loop().time() if response.status_code == 204 else None
        return response.status_code


def _items(keys: Sequence[str], content: bytes) -> list[Document]:
    """Return the items of a bulk read in the order of `keys`. An item of a missing key has only `key`."""
    try:
        items = {item["key"]: item for item in from_json(content)}
    except ValueError:  # one of the values is no JSON, and Dapr sent nothing
        raise BulkReadFailed from None
    errors = [item["error"] for item in items.values() if item.get("error")]
    if errors or len(items) != len(set(keys)):
        # An error may quote keys, so it is not logged.
        logger.warning("bulk read failed: %d of %d keys with an error", len(errors), len(keys))
        raise BulkReadFailed(of_all=len(errors) == len(set(keys)))
    return [items[key] for key in keys]


def _has_value(item: Document) -> bool:
    """Whether the key of an item exists. Dapr sends an empty value as an etag without `data`."""
    return "data" in item or "etag" in item


def _stored(item: Document) -> Stored | None:
    """The document of an item, with its etag; None for a missing key. Raises ValueUnreadable."""
    if not _has_value(item):
        return None
    return Stored(_document(str(item["key"]), item.get("data")), str(item.get("etag", "")))


def _document_or_none(value: "JSON | bytes") -> Document | None:
    """Return the document that a value, or the text of a body, is; None if it is no document."""
    try:
        document = parsed(value.decode() if isinstance(value, bytes) else value)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _document(key: str, value: "JSON | bytes") -> Document:
    document = _document_or_none(value)
    if document is None:
        raise ValueUnreadable(key)
    return document
