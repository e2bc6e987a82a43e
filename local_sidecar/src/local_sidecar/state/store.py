"""The state of every app on this machine, in one SQLite file: durable before a write is answered.

One thread writes: it takes whatever requests are waiting, applies them in one transaction and commits once for all.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from local_sidecar.state.database import Database

ANY_VERSION = "0"
BATCH_LIMIT = 256  # requests in one commit: bounds how long the first of them waits
PURGE_SECONDS = 60.0  # expired entries are invisible at once; their room is taken back this often


@dataclass(frozen=True, slots=True)
class Write:
    """One key to save, or with no value to delete.

    expected: the etag that the entry must have, `ANY_VERSION` for none. marks: the entry is from now on only written
    with an etag (Dapr's first-write). ttl: seconds; zero or less removes a running expiry; None leaves it as it is.
    """

    key: str
    value: bytes | None
    expected: str = ANY_VERSION
    marks: bool = False
    ttl: int | None = None


Result = list[bool] | sqlite3.Error


@dataclass(frozen=True, slots=True)
class _Request:
    writes: list[Write]
    answer: asyncio.Future[list[bool]]


class Store:
    """Reads on the caller's thread (microseconds from SQLite's cache), writes on their own."""

    def __init__(self, path: Path) -> None:
        self._reader = Database(path)
        self._reader.connection()
        self._writer = Database(path)
        self._waiting: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._write_until_closed, name="state writer", daemon=True)
        self._thread.start()

    def read(self, key: str) -> tuple[bytes, int] | None:
        """Value and etag of a key, None if there is none. Raises sqlite3.Error when the file cannot be read."""
        with self._reader as connection:
            row = connection.execute(
                "SELECT value, version FROM state WHERE key = ? AND (expires IS NULL OR expires > ?)",
                (key, time.time()),
            ).fetchone()
        return (row[0], row[1]) if row else None

    async def write(self, writes: list[Write]) -> list[bool]:
        """Carry out writes in order; per write, whether its etag allowed it. Raises sqlite3.Error: nothing was done."""
        if not writes:
            return []
        request = _Request(writes, self._loop.create_future())
        self._waiting.put(request)
        return await request.answer

    def close(self) -> None:
        """Finish what is waiting, then close the file."""
        self._waiting.put(None)
        self._thread.join()
        self._reader.close()

    def _write_until_closed(self) -> None:
        purged = 0.0
        open_for_more = True
        while open_for_more:
            batch = [self._waiting.get()]
            while len(batch) < BATCH_LIMIT and not self._waiting.empty():
                batch.append(self._waiting.get())
            requests = [request for request in batch if request is not None]
            open_for_more = len(requests) == len(batch)
            results = self._commit(requests)
            if requests:
                self._loop.call_soon_threadsafe(_answer, requests, results)
            if time.monotonic() - purged > PURGE_SECONDS:
                purged = time.monotonic()
                self._purge()
        self._writer.close()

    def _commit(self, requests: list[_Request]) -> list[Result]:
        if not requests:
            return []
        try:
            with self._writer as connection:
                connection.execute("BEGIN IMMEDIATE")
                results: list[Result] = [
                    [_apply(connection, write) for write in request.writes] for request in requests
                ]
                connection.execute("COMMIT")
                return results
        except sqlite3.Error as failure:
            if len(requests) == 1:
                return [failure]
            return [self._commit([request])[0] for request in requests]  # one that cannot be stored fails alone

    def _purge(self) -> None:
        try:
            with self._writer as connection:
                connection.execute("DELETE FROM state WHERE expires <= ?", (time.time(),))
        except sqlite3.Error:
            return  # the next write says so


def _answer(requests: list[_Request], results: list[Result]) -> None:
    for request, result in zip(requests, results, strict=True):
        if request.answer.done():
            continue  # the client is gone
        if isinstance(result, sqlite3.Error):
            request.answer.set_exception(result)
        else:
            request.answer.set_result(result)


def _apply(connection: sqlite3.Connection, write: Write) -> bool:
    """Carry out one write if its etag allows it; an etag on a missing key always does."""
    now = time.time()
    row = connection.execute("SELECT version, marked, expires FROM state WHERE key = ?", (write.key,)).fetchone()
    version, marked, expires = row or (0, 0, None)
    if expires is not None and expires <= now:
        version, marked, expires = 0, 0, None
    if write.value is None:
        allowed = not version or write.expected in (ANY_VERSION, str(version))
        if allowed and row:
            connection.execute("DELETE FROM state WHERE key = ?", (write.key,))
        return allowed
    if version and write.expected != str(version) and (marked or write.expected != ANY_VERSION):
        return False
    if write.ttl is not None:
        expires = now + write.ttl if write.ttl > 0 else None
    connection.execute(
        "INSERT INTO state (key, value, version, marked, expires) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (key)"
        " DO UPDATE SET value = ?2, version = ?3, marked = ?4, expires = ?5",
        (write.key, write.value, version + 1, int(marked or write.marks), expires),
    )
    return True
