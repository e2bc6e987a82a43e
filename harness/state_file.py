"""What the local sidecar keeps, read past its API: also what no key that is known leads to."""

import contextlib
import sqlite3
from pathlib import Path

TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"


def stored_values(file: Path) -> dict[str, str]:
    """Return the value of every key in every table of a state file, expired ones included.

    The file itself is not searched: SQLite overwrites deleted rows only when it uses their space again.
    """
    with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        tables = [name.replace('"', '""') for (name,) in connection.execute(TABLES)]
        rows = [row for table in tables for row in connection.execute(f'SELECT key, value FROM "{table}"')]
    return {key: value.decode() for key, value in rows}
