"""Learning how a store behaves by trying it, with keys of its own that expire and are deleted at the end.

store_probe.py says when. What a store does differently from others becomes a field of StoreTraits (store_traits.py); if
a promise cannot hold, the trial raises Lack.
"""

import asyncio
import secrets
from collections.abc import Collection

from dapr_wire import EXPECTED_STATUSES, DaprWire
from documents import JSON, Document
from errors import StoreRefusesWrites, StoreUnavailable
from keys import LONGEST_KEY_CHARS, probe_key
from store_traits import ABSENT, NO_TTL, Creation, Etag, StoreTraits, parsed

TTL_SECONDS = "60"
"""How long a key of a trial lives, in seconds, if the process dies before it deletes the key."""
RACING_WRITES = 8
"""Writes at the same time, of which one may succeed: enough that a store that checks nothing lets two through."""
EVERY_REFUSAL = (*EXPECTED_STATUSES, 400, 500)
"""Statuses that a trial expects: a store may refuse what another one accepts."""

DOCUMENT: Document = {
    "history": [{"role": "user", "content": 'Zoë said: "<b>🙂</b>" \u0000\n'}],
    "sealed": 12,
    "was": [["0", 1]],
    "deleted": False,
    "summary": None,
}
"""A document with everything that the service's documents may have."""
SIMILAR_NAMES = ("alice", "Alice", "Álice", "A\u0301lice")
"""User ids that some collations take for one."""


class Lack(Exception):
    """The store cannot keep a promise: what it does wrong, and what to do. Both are parts of a sentence."""

    def __init__(self, lack: str, remedy: str = "Use another store") -> None:
        self.lack = lack
        self.remedy = remedy
        super().__init__(lack)


class StoreTrial:
    """One trial of a store."""

    def __init__(self, wire: DaprWire) -> None:
        self._wire = wire
        self._token = secrets.token_hex(8)
        self._traits = StoreTraits()
        self._written: dict[str, None] = {}

    async def run(self) -> StoreTraits:
        """Return how the store behaves.

        Raises Lack if a promise cannot hold on the store, StoreUnavailable, and StoreRefusesWrites.
        """
        try:
            await self._check_writable()
            await self._learn_form()
            await self._learn_creation()
            await self._check_etags()
            await self._check_keys()
            await self._check_forever()
            await self._check_deletes()
        finally:
            await self._clean_up()
        return self._traits

    async def _check_writable(self) -> None:
        """Raise StoreUnavailable if the store cannot be read, StoreRefusesWrites if it can only be read."""
        await self._read("plain")
        if await self._write("plain", {}) != 204:
            raise StoreRefusesWrites

    async def _learn_form(self) -> None:
        """Learn whether a document is saved as an object or as JSON text."""
        for number, keeps_objects in enumerate((True, True, False)):  # the first write may meet a moment's trouble
            self._traits = StoreTraits(keeps_objects=keeps_objects)
            name = f"form-{number}"
            if await self._write(name, DOCUMENT) != 204:
                continue
            value, _ = await self._read(name)
            if value == DOCUMENT and await self._read_many([name]) == [DOCUMENT]:
                return
        raise Lack("does not give a document back as it was saved")

    async def _learn_creation(self) -> None:
        """Learn how a key is created only if it is missing."""
        keeps_objects = self._traits.keeps_objects
        for creation in Creation:
            self._traits = StoreTraits(creation, keeps_objects=keeps_objects)
            name = creation.value
            if await self._write(name, {"n": 1}, ABSENT) != 204 or (await self._read(name))[0] != {"n": 1}:
                continue
            status = await self._write(name, {"n": 2}, ABSENT)
            if status == 204 or (await self._read(name))[0] != {"n": 1}:
                continue
            await self._write(f"plain-{name}", {"n": 1})
            if await self._write(f"plain-{name}", {"n": 2}, ABSENT) == 204:
                continue  # Redis: a `first-write` overwrites a key that was not created by one
            self._traits = StoreTraits(creation, status, keeps_objects)
            await self._check_race(f"race-{name}", ABSENT)
            return
        raise Lack("cannot create a key only if it is missing, so concurrent first turns would be lost")

    async def _check_etags(self) -> None:
        """Check that a write with an etag is done only if the key has it."""
        await self._write("etag", {"n": 1})
        _, old = await self._read("etag")
        if not old:
            raise Lack("has no etags, so concurrent turns would be lost")
        if await self._write("etag", {"n": 2}, old) != 204:
            raise Lack("refuses a write with the right etag")
        if await self._write("etag", {"n": 3}, old) == 204 or (await self._read("etag"))[0] != {"n": 2}:
            raise Lack("accepts a write with a wrong etag, so concurrent turns would be lost")
        _, current = await self._read("etag")
        await self._check_race("etag", current)

    async def _check_race(self, name: str, etag: Etag) -> None:
        """Check that at most one of several writes with the same condition succeeds."""
        writes = (self._write(name, {"n": number}, etag) for number in range(RACING_WRITES))
        if (await asyncio.gather(*writes)).count(204) > 1:
            raise Lack("reports success to writers that lost a race, so concurrent turns would be lost")

    async def _check_keys(self) -> None:
        """Check that similar keys and long keys are keys of their own."""
        long = "🙂" * (LONGEST_KEY_CHARS - len(probe_key(self._token, "")) - 1)
        for names, lack, remedy in (
            (
                SIMILAR_NAMES,
                "takes the keys alice, Alice and Álice for one, so one user's memory would be shown to another",
                "Use a case-sensitive collation or another store",
            ),
            (
                [long + end for end in "12"],
                f"does not keep keys of {LONGEST_KEY_CHARS} characters apart",
                "Use another store",
            ),
        ):
            for number, name in enumerate(names):
                if await self._write(name, {"n": number}) != 204:
                    raise Lack(lack, remedy)
            if await self._read_many(names) != [{"n": number} for number in range(len(names))]:
                raise Lack(lack, remedy)

    async def _check_forever(self) -> None:
        """Check that TTL -1 keeps a key."""
        await self._write("forever", {}, ttl=NO_TTL)
        if (await self._read("forever"))[0] is None:
            raise Lack("takes TTL -1 for a time in the past, so everything would be lost at once")

    async def _check_deletes(self) -> None:
        """Check that a deleted key is gone."""
        await self._wire.delete(probe_key(self._token, "forever"))
        if (await self._read("forever"))[0] is not None:
            raise Lack("does not delete, so what is erased would stay")

    async def _write(self, name: str, value: Document, etag: Etag = None, ttl: str = TTL_SECONDS) -> int:
        """Write a key of this trial. Returns the status."""
        key = probe_key(self._token, name)
        self._written[key] = None
        return (await self._wire.save([self._traits.item(key, value, etag, ttl)], EVERY_REFUSAL)).status_code

    async def _read(self, name: str) -> tuple[JSON, str]:
        """Return the value of a key of this trial, None if it is missing, and its etag."""
        response = await self._wire.get(probe_key(self._token, name))
        if response.status_code == 204:
            return None, ""
        if response.status_code != 200:
            raise StoreUnavailable
        return _parsed(response.content.decode()), response.headers.get("etag", "")

    async def _read_many(self, names: Collection[str]) -> list[JSON]:
        """Return the values of keys of this trial by a bulk read."""
        keys = [probe_key(self._token, name) for name in names]
        response = await self._wire.get_many(keys)
        items = _parsed(response.content.decode())
        if response.status_code != 200 or not isinstance(items, list):
            raise StoreUnavailable
        found = {item.get("key"): item for item in items if isinstance(item, dict)}
        if any("error" in item for item in found.values()):
            raise StoreUnavailable
        return [_parsed(found.get(key, {}).get("data")) for key in keys]

    async def _clean_up(self) -> None:
        """Delete the keys of this trial. What cannot be deleted expires."""
        await asyncio.gather(*map(self._wire.delete, self._written), return_exceptions=True)


def _parsed(value: JSON) -> JSON:
    """Return what a writer meant, or the value itself if it is no JSON."""
    try:
        return parsed(value)
    except ValueError:
        return value
