"""The items of one state store, in SQLite. A write is durable before it is reported.

One thread writes: it takes all requests that are waiting, applies them in one SQLite transaction and commits once.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from local_sidecar.state.database import Database, Table
from local_sidecar.state.dialects.base import Dialect, Item
from local_sidecar.state.operations import Operation, Refused

BATCH_LIMIT = 256
"""Limit on the requests of one commit, so that the first of them does not wait too long."""


class StoreError(Exception):
    """The state database cannot be read or opened."""


@dataclass(frozen=True, slots=True)
class _Request:
    operations: Sequence[Operation]
    refusals: asyncio.Future[list[Refused]]


class Store:
    """A store of one dialect. It reads on the caller's thread, mostly from SQLite's cache, and writes on its own."""

    def __init__(self, table: Table, dialect: Dialect) -> None:
        """Open the store. Raises StoreError."""
        self.dialect = dialect
        self._table = table.sql_name
        self._reader = Database(table)
        self._writer = Database(table)
        try:
            self._reader.connection()
        except sqlite3.Error as error:
            raise StoreError(str(error)) from error
        self._waiting: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._write_until_closed, name="state writer", daemon=True)
        self._thread.start()

    def read(self, key: str) -> Item | None:
        """The live item of a key. Raises StoreError."""
        try:
            with self._reader as connection:
                item = self._found(connection, key)
        except sqlite3.Error as error:
            raise StoreError(str(error)) from error
        return item if item and item.is_live(time.time()) else None

    async def write(self, operations: Sequence[Operation]) -> list[Refused]:
        """Carry out the operations of one request in order. Returns the refusals, none when all is done."""
        valid: list[Operation] = []
        refusals: list[Refused] = []
        for operation in operations:
            try:
                self.dialect.check(operation)
                valid.append(operation)
            except Refused as refusal:
                refusals.append(refusal)
        if not valid or (refusals and valid[0].transactional):
            return refusals
        request = _Request(valid, self._loop.create_future())
        self._waiting.put(request)
        return refusals + await request.refusals

    def close(self) -> None:
        """Finish the waiting requests, then close the database."""
        self._waiting.put(None)
        self._thread.join()
        self._reader.close()

    def _write_until_closed(self) -> None:
        cleaned_up = time.monotonic()
        is_open = True
        while is_open:
            batch = [self._waiting.get()]
            while len(batch) < BATCH_LIMIT and not self._waiting.empty():
                batch.append(self._waiting.get())
            requests = [request for request in batch if request is not None]
            is_open = len(requests) == len(batch)
            results = self._commit(requests)
            if requests:
                self._loop.call_soon_threadsafe(_report, requests, results)
            if time.monotonic() - cleaned_up > self.dialect.cleanup_seconds:
                cleaned_up = time.monotonic()
                self._clean_up()
        self._writer.close()

    def _commit(self, requests: list[_Request]) -> list[list[Refused]]:
        if not requests:
            return []
        try:
            with self._writer as connection:
                connection.execute("BEGIN IMMEDIATE")
                results = [self._carry_out(connection, request.operations) for request in requests]
                connection.execute("COMMIT")
                return results
        except sqlite3.Error as error:
            if len(requests) == 1:
                return [[self.dialect.failure(operation, str(error)) for operation in requests[0].operations]]
            return [self._commit([request])[0] for request in requests]  # one that cannot be stored fails alone

    def _carry_out(self, connection: sqlite3.Connection, operations: Sequence[Operation]) -> list[Refused]:
        all_or_none = self.dialect.rolls_back and operations[0].transactional
        if all_or_none:
            connection.execute("SAVEPOINT request")
        refusals: list[Refused] = []
        for operation in operations:
            try:
                self._apply(connection, operation)
            except Refused as refusal:
                refusals.append(refusal)
        if all_or_none:
            connection.execute("ROLLBACK TO request" if refusals else "RELEASE request")
        return refusals

    def _apply(self, connection: sqlite3.Connection, operation: Operation) -> None:
        found = self._found(connection, operation.key)
        item = self.dialect.apply(found, operation, time.time())
        if item is not None:
            connection.execute(
                f"INSERT INTO {self._table} (key, value, version, marked, expires) VALUES (?1, ?2, ?3, ?4, ?5)"
                " ON CONFLICT (key) DO UPDATE SET key = ?1, value = ?2, version = ?3, marked = ?4, expires = ?5",
                (item.key, item.value, item.etag, int(item.needs_etag), item.expires),
            )
        elif found is not None:
            connection.execute(f"DELETE FROM {self._table} WHERE key = ?", (operation.key,))

    def _found(self, connection: sqlite3.Connection, key: str) -> Item | None:
        """The item of a key, also an expired one."""
        row = connection.execute(
            f"SELECT key, value, version, expires, marked FROM {self._table} WHERE key = ?", (key,)
        ).fetchone()
        return Item(row[0], row[1], str(row[2]), row[3], bool(row[4])) if row else None

    def _clean_up(self) -> None:
        try:
            with self._writer as connection:
                connection.execute(f"DELETE FROM {self._table} WHERE expires <= ?", (time.time(),))
        except sqlite3.Error:
            return  # the next write reports it


def _report(requests: list[_Request], results: list[list[Refused]]) -> None:
    for request, refusals in zip(requests, results, strict=True):
        if not request.refusals.done():  # else its client is gone
            request.refusals.set_result(refusals)
