"""The store on one machine: one SQLite file, private to its owner, that any number of processes share without a daemon.

Answers what the Protocol asks and turns every failure of the file into a MeshError that says what to do. Must not know
what the keys mean. Only this module, `sqlite_file`, `examining` and `peeking` import sqlite3.

Why it survives a kill at any moment: the file is born whole (built under another name, then linked), each change is one
transaction in the write-ahead log, and the log is flushed to the disk before `transact` returns (synchronous=FULL).
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from meshctl import clock
from meshctl.errors import MeshError
from meshctl.store import bell, sqlite_file
from meshctl.store.protocol import Audit, Conflict, Delete, Entry, Expect, LeaseEnded, Put
from meshctl.store.sqlite_file import RUNS

_KEPT_AUDITS: Final = 10_000
_KEY: Final = re.compile(r"[!-~]+", re.ASCII)
# Sorts after every character a key may have: prefix + _AFTER ends the range of the keys that start with prefix.
_AFTER: Final = "\x7f"

# An entry is there while it has no lease or its lease still runs. Asked in each statement, so that what has expired is
# invisible at once, whoever sweeps it away later. Parameter: now.
_LIVE: Final = f"(lease = '' OR EXISTS (SELECT 1 FROM leases WHERE leases.id = entries.lease AND {RUNS}))"  # noqa: S608 - constants


class SqliteStore:
    """A `Store` in the SQLite file `path`, made private where it does not exist.

    May be used from several threads. A process that forks keeps using its store; in the child every method refuses,
    because a SQLite connection must not cross a fork. `wait` is how long, in seconds, another writer is waited for;
    `now` is the time that leases go by: the machine's since its start, the same in all processes, which nobody sets."""

    def __init__(self, path: Path, *, now: Callable[[], float] = clock.monotonic, wait: float = 5.0) -> None:
        self._path = path
        self._now = now
        self._wait = wait
        self._lock = threading.RLock()
        self._owner = os.getpid()
        self._connection: sqlite3.Connection | None = sqlite_file.open_or_create(path, wait)
        self._file = sqlite_file.file_in(path)

    def __repr__(self) -> str:
        return f"SqliteStore({str(self._path)!r}, {'open' if self._connection else 'closed'})"

    def get(self, key: str) -> Entry | None:
        """The entry under `key`, or None."""
        sql = f"SELECT key, value, revision, lease FROM entries WHERE key = ? AND {_LIVE}"  # noqa: S608 - constants
        rows = self._read(sql, key, self._now())
        return Entry(*rows[0]) if rows else None

    def audits(self, limit: int = 100) -> list[Audit]:
        """The latest audit records, newest first."""
        sql = "SELECT who, at, what, before, after, revision FROM audits ORDER BY number DESC LIMIT ?"
        return [Audit(*row) for row in self._read(sql, max(limit, 0))]

    def list(self, prefix: str, *, after: int = 0) -> list[Entry]:
        """All entries whose key starts with `prefix`, in key order, without those of expired leases; with `after` those
        alone that were written later than at that store revision."""
        sql = (
            "SELECT key, value, revision, lease FROM entries "  # noqa: S608 - constants
            f"WHERE key >= ? AND key < ? AND revision > ? AND {_LIVE} ORDER BY key"
        )
        return [Entry(*row) for row in self._read(sql, prefix, prefix + _AFTER, after, self._now())]

    def count(self, prefix: str) -> int:
        """How many entries `list(prefix)` has now."""
        sql = f"SELECT count(*) FROM entries WHERE key >= ? AND key < ? AND {_LIVE}"  # noqa: S608 - constants
        return int(self._read(sql, prefix, prefix + _AFTER, self._now())[0][0])

    def transact(
        self, changes: Sequence[Put | Delete], *, expect: Sequence[Expect] = (), audit: Audit | None = None
    ) -> int:
        """Commit all `changes` or none, durable when it returns; the new store revision."""
        for change in changes:
            if not _KEY.fullmatch(change.key):
                raise ValueError(f"expected a key of printable ASCII without spaces, got {change.key!r}")
        with self._writing() as run:
            now = self._now()
            _sweep(run, now)
            for each in expect:
                found = run("SELECT revision FROM entries WHERE key = ?", each.key)
                if (revision := found[0][0] if found else 0) != each.revision:
                    raise Conflict(each.key, each.revision, revision)
            number = _next_revision(run)
            for change in changes:
                _write(run, change, number)
            if audit is not None:
                _record(run, audit, number)
        bell.ring(self._path)
        return number

    def revision(self) -> int:
        """The store revision of the last commit; 0 for a new store."""
        return int(self._read("SELECT revision FROM store")[0][0])

    def watch(self) -> SqliteWatch:
        """A watch that first reports commits made after this call."""
        self._connected()
        return SqliteWatch(self._path, self._wait)

    def grant(self, ttl: float) -> str:
        """A new lease that lives `ttl` seconds unless kept alive."""
        if ttl <= 0:
            raise ValueError("expected a time to live above zero")
        lease = os.urandom(8).hex()
        with self._writing() as run:
            now = self._now()
            has_swept = _sweep(run, now)
            if has_swept:
                _next_revision(run)
            run("INSERT INTO leases (id, ttl, expires) VALUES (?, ?, ?)", lease, ttl, now + ttl)
        if has_swept:
            bell.ring(self._path)
        return lease

    def keep_alive(self, lease: str) -> bool:
        """Start the lease's time anew; False where it has already run out."""
        with self._writing() as run:
            now = self._now()
            run(f"UPDATE leases SET expires = ? + ttl WHERE id = ? AND {RUNS}", now, lease, now)  # noqa: S608 - constants
            return _count(run) > 0

    def release(self, lease: str) -> None:
        """End the lease and drop its entries."""
        with self._writing() as run:
            run("DELETE FROM leases WHERE id = ?", lease)
            run("DELETE FROM entries WHERE lease = ? AND lease <> ''", lease)
            has_dropped = _count(run) > 0
            if has_dropped:
                _next_revision(run)
        if has_dropped:
            bell.ring(self._path)

    def close(self) -> None:
        """Close the store; it cannot be used afterwards. In a forked child it leaves the parent's store alone."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is None:
                return
            if os.getpid() != self._owner:
                _abandoned.append(connection)
                return
            connection.close()

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            raise MeshError("store_unavailable", f'the store "{self._path}" is closed')
        if os.getpid() != self._owner:
            raise MeshError("store_unavailable", f'the store "{self._path}" was opened before a fork')
        return self._connection

    def _read(self, sql: str, *parameters: Any) -> _Rows:
        # Always all rows at once: a half-read statement would hold a read transaction open, and with it the log.
        with self._lock, sqlite_file.translating(self._path):
            return self._connected().execute(sql, parameters).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[_Run]:
        """One write transaction: commits where the block ends, leaves nothing behind where it raises."""
        with self._lock, sqlite_file.translating(self._path):
            connection = self._connected()
            if sqlite_file.file_in(self._path) != self._file:
                raise sqlite_file.lost(self._path)

            def run(sql: str, *parameters: Any) -> _Rows:
                return connection.execute(sql, parameters).fetchall()

            # IMMEDIATE: what is read below still holds when it is written, and a second writer waits here.
            run("BEGIN IMMEDIATE")
            try:
                yield run
                run("COMMIT")
            finally:
                # After a full disk SQLite may have rolled back by itself already.
                if connection.in_transaction:
                    run("ROLLBACK")


class SqliteWatch:
    """Sees commits by reading, on a connection of its own, whether the store revision has moved. Leases are kept alive
    by commits too: they change nothing that anybody could read, and so not the revision."""

    def __init__(self, path: Path, wait: float) -> None:
        self._path = path
        self._connection = sqlite_file.open_existing(path, wait)
        self._ear = bell.Ear(path)
        self._revision = self._read()

    def changed(self) -> bool:
        """True once after one or more commits by any process, this one included."""
        # Before it is looked: what rings from here on is not forgotten.
        self._ear.forget()
        before, self._revision = self._revision, self._read()
        return self._revision != before

    def fileno(self) -> int:
        """A descriptor that is readable from a commit until `changed` is asked, or -1."""
        return self._ear.fileno()

    def close(self) -> None:
        """Give back the connection."""
        self._ear.close()
        self._connection.close()

    def _read(self) -> int:
        try:
            return int(self._connection.execute("SELECT revision FROM store").fetchall()[0][0])
        except sqlite3.Error as error:
            raise sqlite_file.translated(error, self._path) from error


_Rows = list[Any]
_Run = Callable[..., _Rows]

# Connections that a forked child must not close ("How To Corrupt An SQLite Database File" §2.7), nor have collected.
_abandoned: list[sqlite3.Connection] = []


def _sweep(run: _Run, now: float) -> bool:
    """Drop the entries of leases that have run out, and the leases; whether there were entries."""
    if not run(f"SELECT 1 FROM leases WHERE NOT {RUNS} LIMIT 1", now):  # noqa: S608 - constants
        return False
    run(f"DELETE FROM entries WHERE lease IN (SELECT id FROM leases WHERE NOT {RUNS})", now)  # noqa: S608 - constants
    swept = _count(run)
    run(f"DELETE FROM leases WHERE NOT {RUNS}", now)  # noqa: S608 - constants
    return swept > 0


def _count(run: _Run) -> int:
    """How many rows the last change touched. (RETURNING would say it too, but needs SQLite 3.35.)"""
    return int(run("SELECT changes()")[0][0])


def _next_revision(run: _Run) -> int:
    run("UPDATE store SET revision = revision + 1")
    return int(run("SELECT revision FROM store")[0][0])


def _write(run: _Run, change: Put | Delete, number: int) -> None:
    if isinstance(change, Delete):
        run("DELETE FROM entries WHERE key = ?", change.key)
        return
    if change.lease and not run("SELECT 1 FROM leases WHERE id = ?", change.lease):
        raise LeaseEnded(change.lease)
    sql = "INSERT OR REPLACE INTO entries (key, value, revision, lease) VALUES (?, ?, ?, ?)"
    run(sql, change.key, change.value, number, change.lease)


def _record(run: _Run, audit: Audit, number: int) -> None:
    sql = "INSERT INTO audits (who, at, what, before, after, revision) VALUES (?, ?, ?, ?, ?, ?)"
    run(sql, audit.who, audit.when, audit.what, audit.before, audit.after, number)
    run("DELETE FROM audits WHERE number <= last_insert_rowid() - ?", _KEPT_AUDITS)
