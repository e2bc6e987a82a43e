"""The documents of the state store: each is read and saved whole, by key, with an etag."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic_core import from_json

from dapr_wire import EXPECTED_STATUSES, DaprWire
from documents import JSON, Document
from errors import StoreUnavailable
from store_probe import StoreProbe
from store_traits import ABSENT, NO_TTL, Etag, parsed

BULK_SAVE_BYTES = 512 * 1024
"""Most bytes of documents in one bulk save: a slow store still finishes in time, and the calls stay few."""
BULK_KEYS = 200
"""Most keys in one bulk read: half a megabyte of pages if the messages are short."""
BULK_READS_AT_ONCE = 4
"""Most bulk reads of one operation at the same time. It bounds the memory that one request takes."""
DELETES_AT_ONCE = 8
"""Most deletes of one operation at the same time: a sweep of a long history leaves the store to others too."""

_UNKNOWN_VALUE = "The store has an unknown value under this key. Report it; the value was not changed."

logger = logging.getLogger("agent_memory_service.state")


class EtagMismatch(Exception):
    """The key did not have `etag`. An earlier attempt of this write may be the reason: read again before a retry."""

    def __init__(self, etag: Etag) -> None:
        self.etag = etag
        super().__init__()


class WriteUncertain(StoreUnavailable):
    """A write failed or got no response. It may have been done: read again before a retry.

    `refused` is true if the store responded with an error.
    """

    def __init__(self, *, refused: bool) -> None:
        self.refused = refused
        super().__init__()


@dataclass(frozen=True, slots=True)
class Stored:
    """A document with the etag it was read with. A conditional save names that etag."""

    value: Document
    etag: str


class DaprState:
    """The documents of one state store. Writes follow what was learned about the store."""

    def __init__(self, wire: DaprWire, probe: StoreProbe) -> None:
        self._wire = wire
        self._probe = probe
        self._last_write_at: float | None = None

    async def get(self, key: str) -> Stored | None:
        """Return the document at `key`, None if the key is missing. Raises StoreUnavailable and StoreUnsuitable."""
        await self._probe.check_readable()
        response = await self._wire.get(key)
        if response.status_code == 204:
            return None
        if response.status_code != 200:
            raise StoreUnavailable
        return Stored(_document(response.content.decode()), response.headers.get("etag", ""))

    async def get_many(self, keys: Sequence[str]) -> list[Document | None]:
        """Return the documents at `keys` in order, None for a missing key. Raises as `get` does."""
        await self._probe.check_readable()
        chunks = [keys[at : at + BULK_KEYS] for at in range(0, len(keys), BULK_KEYS)]
        found: list[Document | None] = []
        for at in range(0, len(chunks), BULK_READS_AT_ONCE):
            for part in await asyncio.gather(*map(self._get_chunk, chunks[at : at + BULK_READS_AT_ONCE])):
                found += part
        return found

    async def save(self, key: str, value: Document, etag: Etag, ttl_seconds: int | None = None) -> None:
        """Write `value` at `key` if the condition `etag` holds. Without a TTL the document stays.

        Raises EtagMismatch and WriteUncertain; after either, the write may have been done. Raises BodyTooLarge,
        StoreUnavailable, StoreUnsuitable and StoreRefusesWrites; then nothing was sent.
        """
        traits = await self._probe.traits()
        ttl = NO_TTL if ttl_seconds is None else str(ttl_seconds)
        # On some stores a creation that is refused has a status that other failures have too.
        mismatch = {409, traits.exists_status} if etag is ABSENT else {409}
        await self._save([traits.item(key, value, etag, ttl)], etag, mismatch)

    async def save_all(self, items: Iterable[tuple[str, Document]]) -> None:
        """Write each document at its key and overwrite what is there. Not atomic. Raises WriteUncertain."""
        traits = await self._probe.traits()
        batch: list[bytes] = []
        size = 0
        for key, value in items:
            item = traits.item(key, value)
            if batch and size + len(item) > BULK_SAVE_BYTES:
                await self._save(batch)
                batch, size = [], 0
            batch.append(item)
            size += len(item)
        if batch:
            await self._save(batch)

    async def delete_all(self, keys: Sequence[str]) -> None:
        """Delete `keys`; a missing key is no error. Nothing is read. Raises StoreUnavailable."""
        for at in range(0, len(keys), DELETES_AT_ONCE):
            await asyncio.gather(*map(self.delete, keys[at : at + DELETES_AT_ONCE]))

    async def delete(self, key: str, etag: str | None = None) -> None:
        """Delete `key`, with an etag only if the key has it; a missing key may be refused then.

        Raises EtagMismatch and StoreUnavailable.
        """
        await self._probe.check_readable()
        response = await self._wire.delete(key, etag)
        if response.status_code == 409 and etag is not None:
            raise EtagMismatch(etag)
        if response.status_code != 204:
            raise StoreUnavailable

    def wrote_within(self, seconds: float) -> bool:
        """Whether the last write succeeded, not longer ago than `seconds`."""
        now = asyncio.get_running_loop().time()
        return self._last_write_at is not None and now - self._last_write_at <= seconds

    async def _get_chunk(self, keys: Sequence[str]) -> list[Document | None]:
        response = await self._wire.get_many(keys)
        if response.status_code != 200:
            raise StoreUnavailable
        try:
            items = {item["key"]: item for item in from_json(response.content)}
        except ValueError:  # an encrypted store destroyed one of the values, and Dapr sent nothing
            raise StoreUnavailable(_UNKNOWN_VALUE) from None
        errors = [item["error"] for item in items.values() if item.get("error")]
        if errors or len(items) != len(set(keys)):
            # An error may quote keys, so it is not logged.
            logger.warning("bulk read failed: %d of %d keys with an error", len(errors), len(keys))
            raise StoreUnavailable
        return [_document(items[key]["data"]) if "data" in items[key] else None for key in keys]

    async def _save(self, items: Sequence[bytes], etag: Etag = None, mismatch: Iterable[int] = (409,)) -> None:
        try:
            response = await self._wire.save(items, expected={*EXPECTED_STATUSES, *mismatch})
        except StoreUnavailable as error:
            self._last_write_at = None
            raise WriteUncertain(refused=False) from error
        self._last_write_at = asyncio.get_running_loop().time() if response.status_code == 204 else None
        if response.status_code in mismatch:
            raise EtagMismatch(etag)
        if response.status_code != 204:
            raise WriteUncertain(refused=True)


def _document(value: JSON) -> Document:
    """Return the document that a value, or the text of a body, is."""
    try:
        document = parsed(value)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise StoreUnavailable(_UNKNOWN_VALUE)
    return document
