"""The file under the SQLite store: how it is born, how it is opened, and what each of its failures means to people.

Must not know what is stored in it.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from meshctl import clock
from meshctl.errors import MeshError, because
from meshctl.store.home import sync_directory

APPLICATION: Final = 0x4D455348  # "MESH": tells our file from anybody else's
SCHEMA: Final = 1
"""The number of the schema below; a file with a greater one was written by a newer meshctl."""

# `entries` has a rowid so that listing keys does not drag large values through the index.
_TABLES: Final = """
CREATE TABLE store (one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL);
INSERT INTO store VALUES (1, 0);
CREATE TABLE entries (key TEXT NOT NULL UNIQUE, value BLOB NOT NULL, revision INTEGER NOT NULL, lease TEXT NOT NULL);
CREATE INDEX entries_by_lease ON entries (lease) WHERE lease <> '';
CREATE TABLE leases (id TEXT PRIMARY KEY, ttl REAL NOT NULL, expires REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE audits (
  number INTEGER PRIMARY KEY, who TEXT NOT NULL, at REAL NOT NULL, what TEXT NOT NULL,
  before TEXT NOT NULL, after TEXT NOT NULL, revision INTEGER NOT NULL
);
"""

RUNS: Final = "(leases.expires - ? BETWEEN 1e-9 AND leases.ttl + 10)"
"""Whether a lease runs. Parameter: now, in seconds since the machine was started. One that ends later than it could was
granted before that; but who asks may have read the clock some time ago."""

# A large configuration makes the log grow once; afterwards it is cut back to this many bytes.
_LOG_BYTES: Final = 4 * 1024 * 1024
# With less than this free, an I/O error of the file is a full disk: SQLite's shared index alone takes 32 KiB.
_ROOM_BYTES: Final = 64 * 1024

# What SQLite keeps beside a database while it is in use.
_BESIDE: Final = ("-journal", "-wal", "-shm")


def open_or_create(path: Path, wait: float) -> sqlite3.Connection:
    """A connection to the store in `path`, which is made where it does not exist. Raises MeshError."""
    if not path.exists():
        _check_alone(path)
        _create(path)
    return open_existing(path, wait)


def open_existing(path: Path, wait: float) -> sqlite3.Connection:
    """A connection to the store in `path`, checked to be one. `wait`: seconds to wait for other writers."""
    with translating(path):
        connection = _connect(path, wait)
        try:
            _check(connection, path)
            connection.execute("PRAGMA synchronous = FULL").fetchall()
            connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}").fetchall()
        except BaseException:
            connection.close()
            raise
        return connection


def file_in(path: Path) -> tuple[int, int]:
    """Which file is in `path` now; nothing in the place of one is one, too."""
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def lost(path: Path) -> MeshError:
    """The store was removed or replaced while it was in use: what was written to it now, nobody would ever read."""
    message = f'the store "{path}" was removed or replaced while it was in use'
    return MeshError("store_unavailable", message, hint="end what runs in this home, and start it again")


@contextmanager
def translating(path: Path) -> Iterator[None]:
    """Every SQLite error that leaves the block leaves it as a MeshError about `path`."""
    try:
        yield
    except sqlite3.Error as error:
        raise translated(error, path) from error


def translated(error: sqlite3.Error, path: Path) -> MeshError:
    """What an SQLite `error` of the store in `path` means, and what to do about it."""
    # The low byte is the primary code; the rest says more than anybody can act on.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return _corrupt(path, str(error))
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        hint = "another process keeps it locked: see who with `fuser`, or try again"
        return MeshError("store_unavailable", f'the store "{path}" is locked', hint=hint)
    if code == sqlite3.SQLITE_FULL or (code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and _is_full(path)):
        return _full(path)
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_CANTOPEN):
        hint = "make the directory and the file writable for this user, or name another home with --home"
        return MeshError("store_unavailable", f'the store "{path}" cannot be written: {error}', hint=hint)
    return MeshError("store_unavailable", f'the store "{path}" cannot be used: {error}')


def _connect(path: Path, wait: float) -> sqlite3.Connection:
    # mode=rw: SQLite never creates the file, which would then be born with the umask's permissions.
    # isolation_level=None: transactions begin and end where this package says, never behind its back.
    uri = f"{path.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=wait, isolation_level=None, check_same_thread=False)


def _check(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchall()[0][0]
    schema = connection.execute("PRAGMA user_version").fetchall()[0][0]
    if application != APPLICATION:
        raise _corrupt(path, "it is not a meshctl store")
    if schema > SCHEMA:
        message = f'the store "{path}" was written by a newer meshctl (schema {schema}, this one knows {SCHEMA})'
        raise MeshError("store_unavailable", message, hint="upgrade meshctl, or name another home with --home")
    connection.execute("SELECT revision FROM store").fetchall()


def _check_alone(path: Path) -> None:
    """Raise where a log is left of a store that was removed: SQLite would take it for that of the new one."""
    left = [each.name for each in (path.with_name(path.name + end) for end in _BESIDE) if each.exists()]
    # Another process may have made both meanwhile. In this order: a log beside no store belongs to none.
    if left and not path.exists():
        hint = f"put it back, or end what runs in this home and remove {' and '.join(left)}"
        raise MeshError("store_unavailable", f'the store "{path}" was removed, but not its log', hint=hint)


def _create(path: Path) -> None:
    """Build an empty store under another name and link it to `path`: nobody ever sees half of one, and of two processes
    that do this at once both end up with the store of the faster one."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{clock.bits(48):012x}")
    try:
        os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with translating(path), closing(_connect(fresh, 0)) as connection:
            connection.execute("PRAGMA synchronous = FULL").fetchall()
            connection.execute(f"PRAGMA application_id = {APPLICATION}").fetchall()
            connection.execute(f"PRAGMA user_version = {SCHEMA}").fetchall()
            connection.executescript(_TABLES)
            # Last, so that the tables are in the file itself and not in a log that the new name would leave behind.
            if connection.execute("PRAGMA journal_mode = WAL").fetchall() != [("wal",)]:
                raise _unshared(path)
        os.link(fresh, path)
        sync_directory(path.parent)
    except FileExistsError:
        pass
    except OSError as error:
        raise _uncreatable(path, error) from error
    finally:
        for left in ("", *_BESIDE):
            # What stops the removal has stopped the creation before, and that error is the one to tell.
            with suppress(OSError):
                fresh.with_name(fresh.name + left).unlink(missing_ok=True)


def _uncreatable(path: Path, error: OSError) -> MeshError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _full(path)
    why = because(error)
    hint = "make its directory writable for this user, or name another home with --home"
    return MeshError("store_unavailable", f'the store "{path}" cannot be created: {why}', hint=hint)


def _unshared(path: Path) -> MeshError:
    hint = "name a home on a local file system with --home"
    why = f'the file system of "{path}" cannot share memory between processes'
    return MeshError("store_unavailable", why, hint=hint)


def _corrupt(path: Path, why: str) -> MeshError:
    hint = (
        f'move "{path}" and the files beside it that start with its name to another place and apply mesh.toml again; '
        "`sqlite3 FILE .recover` on the moved file may bring its history back"
    )
    return MeshError("store_corrupt", f'the store "{path}" is damaged: {why}', hint=hint)


def _full(path: Path) -> MeshError:
    return MeshError("store_full", f'no space left for the store "{path}"', hint="free some space and try again")


def _is_full(path: Path) -> bool:
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _ROOM_BYTES
