"""A store whose writer is killed at any moment opens again, with all that was acknowledged and no half transaction."""

from __future__ import annotations

import contextlib
import os
import selectors
import sqlite3
import subprocess
from typing import TYPE_CHECKING

import pytest

from meshctl import clock
from meshctl.store.home import Home
from meshctl.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from conftest import Child

# Writes numbered transactions of three entries each, large enough that the log is folded into the file every few dozen,
# and says each number once it is committed. What stood in the slots before is overwritten, so the file stays small.
_WRITER = """
    import os, sys
    from pathlib import Path
    from meshctl.store.protocol import Audit, Put
    from meshctl.store.sqlite import SqliteStore
    store = SqliteStore(Path(sys.argv[1]))
    entry = store.get("last")
    number = int(entry.value) if entry else 0
    lease = store.grant(60)
    filling = os.urandom(40_000)
    while True:
        number += 1
        text = b"%d " % number
        puts = [Put(f"{side}/{number % 20}", text + filling) for side in "ab"]
        store.transact([*puts, Put("last", text), Put("leased", text, lease)], audit=Audit("w", number, "write"))
        os.write(1, b"%d\\n" % number)
"""
_ROUNDS = 15


def _killed(writer: subprocess.Popen[str], after: float) -> int:
    """Kill the writer `after` seconds from its first word; the last number it has said, 0 for none."""
    assert writer.stdout is not None
    descriptor, said = writer.stdout.fileno(), b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        deadline = None
        while deadline is None or clock.monotonic() < deadline:
            if selector.select(60 if deadline is None else max(deadline - clock.monotonic(), 0)):
                said += os.read(descriptor, 65536)
                deadline = deadline or clock.monotonic() + after
        writer.kill()
        while piece := os.read(descriptor, 65536):
            said += piece
    writer.wait()
    return int((said.split() or [b"0"])[-1])


def _check(store: SqliteStore, home: Home, acknowledged: int) -> None:
    entries = {entry.key: entry.value for entry in store.list("")}
    last = int(entries["last"])
    # The writer may have been killed between a commit and the word about it.
    assert last in (acknowledged, acknowledged + 1)
    for number in range(max(last - 19, 1), last + 1):
        sides = [int(entries[f"{side}/{number % 20}"].split(b" ", 1)[0]) for side in "ab"]
        assert sides == [number, number]
    assert (int(entries["leased"]), store.audits(1)[0].when) == (last, last)
    with contextlib.closing(sqlite3.connect(home.database)) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("is_shared", [False, True], ids=["alone", "beside a reader"])
def test_killed_writers(home: Home, child: Child, is_shared: bool) -> None:
    """Fifteen writers, killed one after the other in the middle of their work, lose nothing they had said was done."""
    beside = SqliteStore(home.database) if is_shared else None
    for _ in range(_ROUNDS):
        acknowledged = _killed(child(_WRITER, home.database), after=clock.draw() * 0.1)
        store = SqliteStore(home.database)
        _check(store, home, acknowledged)
        store.close()
        if beside is not None:
            _check(beside, home, acknowledged)
    if beside is not None:
        beside.close()


def test_killed_at_birth(home: Home, child: Child) -> None:
    """A store whose maker is killed while it makes it is there whole or not at all."""
    program = """
        import os, sys
        from pathlib import Path
        from meshctl.store.sqlite import SqliteStore
        for number in range(1, 1000):
            SqliteStore(Path(sys.argv[1]) / f"{number}.db").close()
            os.write(1, b"%d\\n" % number)
    """
    for turn in range(6):
        directory = home.path / str(turn)
        directory.mkdir()
        last = _killed(child(program, directory), after=clock.draw() * 0.03)
        made = list(directory.glob("[0-9]*.db"))
        assert len(made) in (last, last + 1)
        for path in made:
            store = SqliteStore(path)
            assert (store.revision(), store.list("")) == (0, [])
            store.close()
