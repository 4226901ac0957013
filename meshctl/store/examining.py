"""How the file under the SQLite store fares: whether it is whole, how large it is, whether one can write.

For whoever looks for trouble: it never makes a store and changes nothing in one. Must not know what the keys mean.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from meshctl.store import sqlite_file

_TOLD = 3


@dataclass(frozen=True, slots=True)
class Examined:
    """What was seen of a store's file."""

    schema: int
    newest: int
    """The schema that this version of meshctl writes."""
    is_logged: bool
    """Whether it has a write-ahead log, without which processes cannot share it well."""
    problems: tuple[str, ...] = ()
    """What SQLite finds broken; nothing where the file is whole."""


def examine(path: Path, wait: float = 1.0) -> Examined:
    """Read the whole file in `path` and judge it. Raises MeshError where it cannot be opened as a store."""
    with sqlite_file.translating(path), closing(sqlite_file.open_existing(path, wait)) as connection:
        said = [str(row[0]) for row in connection.execute(f"PRAGMA quick_check({_TOLD})").fetchall()]
        journal = connection.execute("PRAGMA journal_mode").fetchall()[0][0]
        schema = connection.execute("PRAGMA user_version").fetchall()[0][0]
    problems = () if said == ["ok"] else tuple(said)
    return Examined(int(schema), sqlite_file.SCHEMA, journal == "wal", problems)


def try_writing(path: Path, wait: float = 1.0) -> None:
    """Begin to write and take it back. Raises MeshError where another process keeps the store to itself for `wait`
    seconds, or it cannot be written at all."""
    with sqlite_file.translating(path), closing(sqlite_file.open_existing(path, wait)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Beginning takes the lock; only a write shows that the file may be written. Nothing of it is kept.
            connection.execute("UPDATE store SET revision = revision")
        finally:
            _take_back(connection)


def _take_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")
