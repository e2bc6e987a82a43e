"""One thread's connection to a state database. It is opened again after a failure and when the file is replaced."""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

BUSY_SECONDS = 2.0
"""How long a write waits for one of another sidecar. A commit takes milliseconds."""
PAGES_BEFORE_CHECKPOINT = 4000
"""Size of the write-ahead log before a checkpoint, 16 MB. A checkpoint costs two more flushes to disk."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS {table} (
    key TEXT {collation} PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL, marked INTEGER NOT NULL,
    expires REAL);
CREATE INDEX IF NOT EXISTS {index} ON {table} (expires) WHERE expires IS NOT NULL;
"""
"""`version` holds the etag. SQLite keeps a decimal as a number, as in files of earlier versions, and a UUID as text."""


@dataclass(frozen=True, slots=True)
class Table:
    """Where a store keeps its items: a table of the file, or of a database in memory when there is no file.

    `folded` gives the form of a key by which keys are compared, where that is not the key itself.
    """

    file: Path | None
    name: str
    folded: Callable[[str], str] | None = None

    @property
    def sql_name(self) -> str:
        """The name as SQL writes it."""
        return _quoted(self.name)


class Database:
    """A context manager around each use of the connection. A failed use closes it, and the next one opens it again."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def connection(self) -> sqlite3.Connection:
        """The open connection. Raises sqlite3.Error when the database cannot be opened."""
        if self._connection is None or self._file != self._identity():
            self.close()
            self._connection = self._open()
            self._file = self._identity()
        return self._connection

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> sqlite3.Connection:
        return self.connection()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.close()

    def _identity(self) -> tuple[int, int] | None:
        if self._table.file is None:
            return None
        try:
            found = os.stat(self._table.file)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _open(self) -> sqlite3.Connection:
        if self._table.file is None:
            return self._prepared(f"file:/{quote(self._table.name)}?vfs=memdb")
        try:
            self._table.file.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self._table.file.parent):
                return self._prepared(self._table.file.absolute().as_uri())
        except OSError as error:
            raise sqlite3.OperationalError(str(error)) from error

    def _prepared(self, uri: str) -> sqlite3.Connection:
        connection = sqlite3.connect(uri, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=True)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {PAGES_BEFORE_CHECKPOINT}")
            if self._table.folded:
                connection.create_collation("folded", _comparison(self._table.folded))
            collation = "COLLATE folded" if self._table.folded else ""
            index = _quoted(f"{self._table.name}_expires")
            connection.executescript(_SCHEMA.format(table=self._table.sql_name, index=index, collation=collation))
        except sqlite3.Error:
            connection.close()
            raise
        return connection


def _comparison(folded: Callable[[str], str]) -> Callable[[str, str], int]:
    def compare(one: str, other: str) -> int:
        return (folded(one) > folded(other)) - (folded(one) < folded(other))

    return compare


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let in one process at a time: SQLite does not wait for another process that creates the file."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
