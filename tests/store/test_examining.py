"""Looking at a store's file: what is whole, what is broken, who holds it; and nothing is changed by looking."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing

import pytest

from meshctl.errors import MeshError
from meshctl.store.examining import examine, try_writing
from meshctl.store.home import Home
from meshctl.store.protocol import Put
from meshctl.store.sqlite import SqliteStore
from meshctl.store.sqlite_file import SCHEMA


def test_a_whole_store(home: Home, store: SqliteStore) -> None:
    """A store in use is found whole, shared, of this schema and writable, and looking leaves every entry as it was."""
    store.transact([Put("a", b"1")])
    before = store.revision(), store.list("")
    found = examine(home.database)
    try_writing(home.database)
    assert (found.problems, found.is_logged, found.schema, found.newest) == ((), True, SCHEMA, SCHEMA)
    assert (store.revision(), store.list("")) == before


def test_a_broken_index(home: Home) -> None:
    """A file that opens and whose tables contradict each other is found broken."""
    with closing(SqliteStore(home.database)) as store:
        store.transact([Put(f"key/{number}", b"x" * 100) for number in range(200)])
    with closing(sqlite3.connect(home.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'entries'").fetchall()[0][0]
        page = connection.execute("PRAGMA page_size").fetchall()[0][0]
    data = bytearray(home.database.read_bytes())
    # The number of cells of the table's first page (file format §1.6): the page says that it has fewer than it has.
    data[(root - 1) * page + 3 : (root - 1) * page + 5] = b"\0\1"
    home.database.write_bytes(data)
    assert examine(home.database).problems
    broken = hashlib.sha256(home.database.read_bytes()).digest()
    examine(home.database)
    assert hashlib.sha256(home.database.read_bytes()).digest() == broken


def test_a_store_that_somebody_keeps(home: Home, store: SqliteStore) -> None:
    """While another process has begun to write and does not end, trying says that the store is locked."""
    with closing(sqlite3.connect(home.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(MeshError, match="is locked"):
            try_writing(home.database, wait=0.05)
        other.execute("ROLLBACK")
    try_writing(home.database, wait=5)


def test_no_store_is_made(home: Home) -> None:
    """Looking at a store that is not there is an error and makes none."""
    with pytest.raises(MeshError):
        examine(home.database)
    assert not home.database.exists()
