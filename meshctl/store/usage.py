"""How much of their quotas callers have used: a small file of its own in the home, to which every proxy adds.

It is no part of the store: a count is written every second while there is traffic, and nobody has to wake up for it.
Where strangers choose the keys there may be any number of them, so of each quota those who used most are kept. Must not
know what a quota allows.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from meshctl.store.sqlite_file import translating

FILE: Final = "usage.db"
_WAIT: Final = 2.0
"""Seconds to wait for another process that writes."""
MOST: Final = 50_000
"""Keys of one quota that are kept for a day or month."""
_SPARED: Final = 0.9
"""The share of them that stays where there are more, so that not every new key drives out another."""

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS used (
  per TEXT NOT NULL, number INTEGER NOT NULL, route TEXT NOT NULL, quota TEXT NOT NULL, key TEXT NOT NULL,
  count INTEGER NOT NULL, PRIMARY KEY (per, number, route, quota, key)
) WITHOUT ROWID
"""
_ADD: Final = """
INSERT INTO used VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (per, number, route, quota, key) DO UPDATE SET count = count + excluded.count
"""
_CROWDED: Final = """
SELECT per, number, route, quota, count(*) FROM used GROUP BY per, number, route, quota HAVING count(*) > ?
"""
_FORGET_LEAST: Final = """
DELETE FROM used WHERE per = ?1 AND number = ?2 AND route = ?3 AND quota = ?4 AND key IN (
  SELECT key FROM used WHERE per = ?1 AND number = ?2 AND route = ?3 AND quota = ?4 ORDER BY count LIMIT ?5
)
"""


class Used(msgspec.Struct, frozen=True):
    """How often a key came in one day or month."""

    per: str
    """"day" or "month"."""
    number: int
    """Which one (`core.calendar`)."""
    route: str
    quota: str
    key: str
    count: int


class Usage:
    """The file, open. Raises MeshError where it cannot be used."""

    def __init__(self, home: Path) -> None:
        self._path = home / FILE
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with translating(self._path):
            uri = f"{self._path.absolute().as_uri()}?mode=rw"
            self._file = sqlite3.connect(uri, uri=True, timeout=_WAIT, isolation_level=None)
            # What a lost power supply may take is the last moments of counting, so nobody waits for the disk.
            for each in ("journal_mode = WAL", "synchronous = NORMAL"):
                self._file.execute(f"PRAGMA {each}").fetchall()
            self._file.execute(_TABLE)
        self._version = self._seen()

    def __repr__(self) -> str:
        return f"<Usage {self._path}>"

    def add(self, used: Iterable[Used]) -> bool:
        """Add these counts to what is there, all of them or none. Of a quota with more than `MOST` keys those that were
        used least are forgotten: whether there were any."""
        with translating(self._path):
            self._file.execute("BEGIN IMMEDIATE")
            try:
                self._file.executemany(_ADD, map(msgspec.structs.astuple, used))
                crowded = self._file.execute(_CROWDED, (MOST,)).fetchall()
                for *quota, count in crowded:
                    self._file.execute(_FORGET_LEAST, (*quota, count - int(MOST * _SPARED)))
            except BaseException:
                self._file.execute("ROLLBACK")
                raise
            self._file.execute("COMMIT")
        return bool(crowded)

    def of(self, per: str, number: int) -> list[Used]:
        """All counts of a day or month, by route, quota and key."""
        with translating(self._path):
            rows = self._file.execute(
                "SELECT * FROM used WHERE per = ? AND number = ? ORDER BY route, quota, key", (per, number)
            ).fetchall()
        return [Used(*row) for row in rows]

    def has_changed(self) -> bool:
        """Whether anybody else has written since the last time this was asked."""
        before, self._version = self._version, self._seen()
        return before != self._version

    def reset(self, used: Collection[Used]) -> None:
        """Forget these counts."""
        with translating(self._path):
            self._file.execute("BEGIN IMMEDIATE")
            self._file.executemany(
                "DELETE FROM used WHERE per = ? AND number = ? AND route = ? AND quota = ? AND key = ?",
                [(each.per, each.number, each.route, each.quota, each.key) for each in used],
            )
            self._file.execute("COMMIT")

    def forget(self, per: str, number: int) -> None:
        """Forget the days or months before this one."""
        with translating(self._path):
            self._file.execute("DELETE FROM used WHERE per = ? AND number < ?", (per, number))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _seen(self) -> int:
        with translating(self._path):
            return int(self._file.execute("PRAGMA data_version").fetchall()[0][0])
