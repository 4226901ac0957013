"""The SQLite store's own promises: a private file, a clear error for each failure, processes that race, a fork."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meshctl.errors import MeshError
from meshctl.store import sqlite_file
from meshctl.store.home import Home
from meshctl.store.protocol import Expect, Put
from meshctl.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from conftest import Child, Disk


def _raw(path: Path) -> contextlib.closing[sqlite3.Connection]:
    return contextlib.closing(sqlite3.connect(path, isolation_level=None))


def _filled(path: Path) -> bytes:
    """A closed store with a few hundred pages; its bytes."""
    store = SqliteStore(path)
    store.transact([Put(f"key/{number}", os.urandom(5000)) for number in range(100)])
    store.close()
    return path.read_bytes()


def test_files_are_born_private(tmp_path: Path) -> None:
    """The database and the files beside it are the owner's alone from the first moment, whatever the umask."""
    before = os.umask(0)
    try:
        store = SqliteStore(tmp_path / "mesh.db")
        store.transact([Put("a", b"secret")])
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    store.close()
    assert modes == {"mesh.db": 0o600, "mesh.db-wal": 0o600, "mesh.db-shm": 0o600}


@pytest.mark.parametrize("name", ["per%20cent", "que?stion", "ha#sh", "spa ce", "ünicode"])
def test_strange_directories(tmp_path: Path, name: str) -> None:
    """A home whose name means something in a URI is a home like any other."""
    directory = tmp_path / name
    directory.mkdir()
    store = SqliteStore(directory / "mesh.db")
    store.transact([Put("a", b"1")])
    assert (directory / "mesh.db").exists()
    store.close()


def test_many_create_at_once(home: Home, child: Child) -> None:
    """Processes that open a new home at the same moment all end up with one and the same store."""
    program = """
        import sys
        from pathlib import Path
        from meshctl.store.protocol import Put
        from meshctl.store.sqlite import SqliteStore
        print("ready", flush=True)
        sys.stdin.readline()
        store = SqliteStore(Path(sys.argv[1]))
        store.transact([Put(f"by/{sys.argv[2]}", b"")])
        store.close()
        print("done", flush=True)
    """
    children = [child(program, home.database, number) for number in range(5)]
    for process in children:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    said = [process.communicate("go\n", timeout=60)[0] for process in children]
    store = SqliteStore(home.database)
    keys = [entry.key for entry in store.list("")]
    store.close()
    assert (said, keys) == (["done\n"] * 5, [f"by/{number}" for number in range(5)])
    assert [path.name for path in home.path.iterdir() if path.is_file()] == ["mesh.db"]


def test_the_slower_maker_gives_way(home: Home) -> None:
    """Who finishes making the store after somebody else did leaves the other's in place, and no leftovers."""
    store = SqliteStore(home.database)
    store.transact([Put("a", b"1")])
    store.close()
    sqlite_file._create(home.database)
    again = SqliteStore(home.database)
    assert (again.revision(), again.get("a") is not None) == (1, True)
    again.close()
    assert [path.name for path in home.path.iterdir() if path.is_file()] == ["mesh.db"]


def test_nobody_writes_in_between(home: Home, store: SqliteStore) -> None:
    """From the moment a transaction looks at its expectations until it commits nobody else can write."""
    other = SqliteStore(home.database, wait=0)
    refusals: list[str] = []

    def now() -> float:
        # Asked for inside the transaction, before it reads anything.
        with pytest.raises(MeshError, match="locked") as caught:
            other.transact([Put("a", b"other")])
        refusals.append(caught.value.code)
        return 0.0

    slow = SqliteStore(home.database, now=now)
    slow.transact([Put("a", b"slow")], expect=[Expect("a", 0)])
    found = store.get("a")
    for each in (slow, other):
        each.close()
    assert (refusals, found and found.value, store.revision()) == (["store_unavailable"], b"slow", 1)


def test_races_have_one_winner(home: Home, store: SqliteStore, child: Child) -> None:
    """Of two processes that expect the same revision exactly one wins, every time, and the other is told."""
    program = """
        import sys
        from pathlib import Path
        from meshctl.store.protocol import Conflict, Expect, Put
        from meshctl.store.sqlite import SqliteStore
        store = SqliteStore(Path(sys.argv[1]))
        print("ready", flush=True)
        sys.stdin.readline()
        won, lost = [], 0
        while len(won) < 150:
            entry = store.get("turn")
            turn, revision = (int(entry.value), entry.revision) if entry else (0, 0)
            try:
                store.transact([Put("turn", b"%d" % (turn + 1))], expect=[Expect("turn", revision)])
                won.append(turn)
            except Conflict:
                lost += 1
        store.close()
        print(lost, *won, flush=True)
    """
    children = [child(program, home.database) for _ in range(2)]
    for process in children:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    numbers = [list(map(int, process.communicate(timeout=60)[0].split())) for process in children]
    entry = store.get("turn")
    assert entry is not None
    assert (sorted(numbers[0][1:] + numbers[1][1:]), entry.value) == (list(range(300)), b"300")


def test_reading_holds_nothing_open(store: SqliteStore, home: Home) -> None:
    """After reads and watches no transaction is left open that would keep the log from being folded into the file."""
    watch = store.watch()
    store.transact([Put(f"key/{number}", b"x" * 1000) for number in range(100)])
    assert len(store.list("")) == 100
    assert store.get("key/1") is not None
    assert watch.changed()
    with _raw(home.database) as raw:
        busy = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0][0]
    watch.close()
    assert (busy, (home.path / "mesh.db-wal").stat().st_size) == (0, 0)


def test_every_commit_is_flushed(store: SqliteStore) -> None:
    """The store runs with a write-ahead log that is flushed at each commit."""
    connection = store._connected()
    pragmas = [connection.execute(f"PRAGMA {name}").fetchall()[0][0] for name in ("journal_mode", "synchronous")]
    assert pragmas == ["wal", 2]


def test_locked(home: Home) -> None:
    """A writer that another process keeps out says which file is locked; readers do not mind."""
    store = SqliteStore(home.database, wait=0.05)
    store.transact([Put("a", b"1")])
    with _raw(home.database) as raw:
        raw.execute("BEGIN IMMEDIATE")
        with pytest.raises(MeshError, match=f'"{home.database}" is locked') as caught:
            store.transact([Put("a", b"2")])
        entry = store.get("a")
        raw.execute("ROLLBACK")
    assert (caught.value.code, entry and entry.value) == ("store_unavailable", b"1")
    assert store.transact([Put("a", b"2")]) == 2
    store.close()


def test_full_disk(disk: Disk) -> None:
    """On a full disk a change fails as a whole and says why, what was there can still be read, and room mends it."""
    store = SqliteStore(disk.path / "mesh.db")
    store.transact([Put("a", b"1")])
    watch = store.watch()
    disk.fill()
    for _ in range(3):
        with pytest.raises(MeshError, match="no space left") as caught:
            store.transact([Put("a", b"2"), Put("b", b"x" * 50_000)])
        assert caught.value.code == "store_full"
    assert ([(entry.key, entry.value) for entry in store.list("")], store.revision()) == ([("a", b"1")], 1)
    assert not watch.changed()
    disk.make_room()
    assert (store.transact([Put("a", b"3")]), watch.changed()) == (2, True)
    watch.close()
    store.close()


def test_no_room_to_begin(disk: Disk) -> None:
    """On a full disk a new store is not begun: the error says why and nothing is left behind; room mends it."""
    disk.fill()
    with pytest.raises(MeshError, match="no space left") as caught:
        SqliteStore(disk.path / "mesh.db")
    assert (caught.value.code, [path.name for path in disk.path.iterdir()]) == ("store_full", ["filler"])
    disk.make_room()
    SqliteStore(disk.path / "mesh.db").close()


def test_no_room_to_open(disk: Disk) -> None:
    """A store that is opened on a full disk either works for readers or says that the disk is full."""
    SqliteStore(disk.path / "mesh.db").close()
    disk.fill()
    with pytest.raises(MeshError) as caught:
        SqliteStore(disk.path / "mesh.db")
    assert caught.value.code == "store_full"


def test_out_of_pages(store: SqliteStore) -> None:
    """A database that may not grow is a full one, where no small disk can be mounted to show it."""
    store._connected().execute("PRAGMA max_page_count = 20").fetchall()
    with pytest.raises(MeshError, match="no space left") as caught:
        store.transact([Put("a", b"x" * 500_000)])
    assert (caught.value.code, store.list("")) == ("store_full", [])
    assert store.transact([Put("a", b"x")]) == 1


def test_read_only_disk(disk: Disk) -> None:
    """On a read-only file system no store can be opened or made, and the error names the file and what to do."""
    path = disk.path / "mesh.db"
    SqliteStore(path).close()
    disk.make_read_only()
    for each in (path, disk.path / "new.db"):
        with pytest.raises(MeshError, match=str(each)) as caught:
            SqliteStore(each)
        assert (caught.value.code, "--home" in caught.value.hint) == ("store_unavailable", True)


def test_read_only_file(store: SqliteStore) -> None:
    """A store that may only be read any more keeps answering readers and tells writers so."""
    store.transact([Put("a", b"1")])
    store._connected().execute("PRAGMA query_only = ON").fetchall()
    with pytest.raises(MeshError, match="readonly") as caught:
        store.transact([Put("a", b"2")])
    entry = store.get("a")
    assert (caught.value.code, entry and entry.value) == ("store_unavailable", b"1")


_DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "garbage": lambda data: b"garbage " * (len(data) // 8),
    "short garbage": lambda _: b"?",
    "half a page": lambda data: data[:2048],
    "half a header": lambda data: data[:50],
    "half the file": lambda data: data[: len(data) // 8192 * 4096],
    "cut within a page": lambda data: data[: len(data) // 2 + 123],
    "zeros after the first page": lambda data: data[:4096] + bytes(len(data) - 4096),
    "garbage after the first page": lambda data: data[:4096] + b"garbage " * ((len(data) - 4096) // 8),
    "garbage in the schema": lambda data: data[:100] + b"garbage " * 499 + data[100 + 8 * 499 :],
}


@pytest.mark.parametrize("damage", _DAMAGES)
def test_damaged(home: Home, damage: str) -> None:
    """A damaged file is reported as such with a way out, at the latest when it is read, and is left as it was found."""
    damaged = _DAMAGES[damage](_filled(home.database))
    home.database.write_bytes(damaged)
    with pytest.raises(MeshError, match=str(home.database)) as caught:
        store = SqliteStore(home.database)
        try:
            store.list("")
        finally:
            store.close()
    assert (caught.value.code, "apply mesh.toml again" in caught.value.hint) == ("store_corrupt", True)
    assert home.database.read_bytes() == damaged


def test_someone_elses_database(home: Home) -> None:
    """A SQLite file that is no mesh store is not taken for one and not changed."""
    with _raw(home.database) as raw:
        raw.execute("CREATE TABLE entries (mine)")
    before = home.database.read_bytes()
    with pytest.raises(MeshError, match="not a meshctl store") as caught:
        SqliteStore(home.database)
    assert (caught.value.code, home.database.read_bytes()) == ("store_corrupt", before)


def test_newer_schema(home: Home) -> None:
    """A store written by a newer meshctl is not touched, and the message says so."""
    _filled(home.database)
    with _raw(home.database) as raw:
        raw.execute("PRAGMA user_version = 99")
    with pytest.raises(MeshError, match="newer meshctl") as caught:
        SqliteStore(home.database)
    assert (caught.value.code, "upgrade" in caught.value.hint) == ("store_unavailable", True)


def test_a_directory_in_its_place(home: Home) -> None:
    """A directory where the file should be is an error about that path."""
    home.database.mkdir()
    with pytest.raises(MeshError, match=str(home.database)) as caught:
        SqliteStore(home.database)
    assert caught.value.code == "store_unavailable"


def test_removed_while_in_use(store: SqliteStore, home: Home) -> None:
    """Nothing is written any more to a store whose file is gone or is another one: it would be for nobody. And
    the log of the one that is gone is not taken for that of the next."""
    store.transact([Put("a", b"1")])
    lease = store.grant(60)
    home.database.unlink()
    for write in (lambda: store.transact([Put("a", b"2")]), lambda: store.keep_alive(lease), lambda: store.grant(1)):
        with pytest.raises(MeshError, match="removed or replaced") as caught:
            write()
        assert caught.value.code == "store_unavailable"
    with pytest.raises(MeshError, match="but not its log") as caught:
        SqliteStore(home.database)
    assert "mesh.db-wal" in caught.value.hint
    for left in home.path.glob("mesh.db-*"):
        left.unlink()
    other = SqliteStore(home.database)
    with pytest.raises(MeshError, match="removed or replaced"):
        store.transact([Put("a", b"2")])
    assert other.transact([Put("a", b"3")]) == 1
    other.close()


def test_closed(store: SqliteStore) -> None:
    """A closed store says that it is closed."""
    store.close()
    with pytest.raises(MeshError, match="closed") as caught:
        store.get("a")
    assert (caught.value.code, "closed" in repr(store)) == ("store_unavailable", True)


def test_a_fork(home: Home, child: Child) -> None:
    """A process that forks keeps its store; its child cannot use it and does it no harm by closing or ending."""
    program = """
        import os, sys
        from pathlib import Path
        from meshctl.errors import MeshError
        from meshctl.store.protocol import Put
        from meshctl.store.sqlite import SqliteStore
        store = SqliteStore(Path(sys.argv[1]))
        watch = store.watch()
        store.transact([Put("a", b"1")])
        said = []
        for leave in (os._exit, sys.exit):
            pid = os.fork()
            if not pid:
                refused = 0
                for use in (lambda: store.get("a"), lambda: store.transact([Put("a", b"child")])):
                    try:
                        use()
                    except MeshError as error:
                        refused += "fork" in error.message
                store.close()
                del store
                leave(10 + refused)
            said.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            store.transact([Put("a", b"2")])
        print(*said, watch.changed(), store.get("a").value, flush=True)
        watch.close()
        store.close()
    """
    assert child(program, home.database).communicate(timeout=60)[0] == "12 12 True b'2'\n"
    with _raw(home.database) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_leases_after_a_reboot(home: Home) -> None:
    """The clock of leases begins anew with the machine: what was alive before is not taken for alive after it, and one
    that was granted since lives."""
    uptime = 500_000.0
    before = SqliteStore(home.database, now=lambda: uptime)
    before.transact([Put("old", b"1", before.grant(30))])
    assert before.get("old") is not None
    before.close()
    after = SqliteStore(home.database, now=lambda: 20.0)
    assert (after.get("old"), after.count("")) == (None, 0)
    lease = after.grant(30)
    after.transact([Put("new", b"2", lease)])
    assert ([each.key for each in after.list("")], after.keep_alive(lease)) == (["new"], True)
    after.close()


def test_leases_when_the_clock_is_set(home: Home, child: Child) -> None:
    """Who sets the machine's clock, forwards or back, ends no lease."""
    program = """
        import sys, time
        jump, wall = 0.0, time.time
        time.time = lambda: wall() + jump
        from pathlib import Path
        from meshctl.store.protocol import Put
        from meshctl.store.sqlite import SqliteStore
        store = SqliteStore(Path(sys.argv[1]))
        lease = store.grant(30)
        store.transact([Put("a", b"1", lease)])
        for jump in (100_000.0, -100_000.0):
            store.transact([Put("b", b"2")])
            print(store.get("a") is not None, store.keep_alive(lease), flush=True)
    """
    out, _ = child(program, home.database).communicate(timeout=60)
    assert out.split() == ["True"] * 4
