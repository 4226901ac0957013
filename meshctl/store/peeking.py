"""A glance at the store from a shell that completes a word: nothing is written, waited for or complained of.

Opens the file for reading alone, and does not even make SQLite's files beside it. Whatever stands in the way, there is
nothing to see. Must not know what is stored.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from meshctl.store.sqlite_file import APPLICATION, RUNS, SCHEMA

_PATIENCE: Final = 0.2
"""Seconds to wait for who has the file locked."""
_SELECT: Final = (
    "SELECT key, value FROM entries WHERE key >= ? AND key < ? "  # noqa: S608 - constants
    f"AND (lease = '' OR EXISTS (SELECT 1 FROM leases WHERE leases.id = entries.lease AND {RUNS})) "
    "ORDER BY key"
)


class Glance:
    """The entries of a store, for as long as one looks; none where there is no store."""

    def __init__(self, connection: sqlite3.Connection | None, now: float) -> None:
        self._connection = connection
        self._now = now

    def list(self, prefix: str) -> dict[str, bytes]:
        """The values of all entries whose key starts with `prefix`, by the rest of the key."""
        if self._connection is None:
            return {}
        try:
            rows = self._connection.execute(_SELECT, (prefix, prefix + "\x7f", self._now)).fetchall()
        except sqlite3.Error:
            return {}
        return {key.removeprefix(prefix): bytes(value) for key, value in rows}


@contextmanager
def glance(path: Path, now: float) -> Iterator[Glance]:
    """Look into the store in `path`, at the time `now` of the machine's monotonic clock."""
    connection = _open(path)
    if connection is None:
        yield Glance(None, now)
        return
    with closing(connection):
        yield Glance(connection, now)


def _open(path: Path) -> sqlite3.Connection | None:
    if not path.exists():
        return None
    # Without a log beside it nobody has it open: then it is read as it is, or SQLite would make the files it shares.
    is_used = path.with_name(path.name + "-wal").exists()
    uri = f"{path.absolute().as_uri()}?mode=ro{'' if is_used else '&immutable=1'}"
    try:
        connection = sqlite3.connect(uri, uri=True, timeout=_PATIENCE, isolation_level=None)
    except sqlite3.Error:
        return None
    try:
        ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION
        if ours and connection.execute("PRAGMA user_version").fetchone()[0] <= SCHEMA:
            return connection
    except sqlite3.Error:
        pass
    connection.close()
    return None
