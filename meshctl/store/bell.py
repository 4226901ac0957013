"""How a process that has written the store wakes those who wait for news: it touches the database, which they have the
kernel watch (inotify(7)).

SQLite writes the file when it likes, but never touches it; and neither end opens it, since to close it again would let
go of SQLite's locks (fcntl(2)). Only what somebody could read rings: a lease that is kept alive, many times a second in
a large mesh, does not. It may fail to, because a writer can die before it rings, and not every system has inotify: so
whoever listens looks now and then too.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Final

_IN_ATTRIB: Final = 0x4
_SOME: Final = 4096
NOBODY: Final = -1
"""In the place of a descriptor: nothing tells of changes here."""


def ring(database: Path) -> None:
    """Wake all who listen."""
    try:
        os.utime(database)
    except OSError:
        pass  # It has gone, or is read-only to us: they look by themselves.


class Ear:
    """The end of one who waits."""

    def __init__(self, database: Path) -> None:
        self._handle = _watch(database) if sys.platform == "linux" else NOBODY

    def __repr__(self) -> str:
        return f"<Ear {self._handle}>"

    def fileno(self) -> int:
        """A descriptor that is readable once somebody has rung, or `NOBODY`."""
        return self._handle

    def forget(self) -> None:
        """Take no more notice of what has rung until now."""
        if self._handle == NOBODY:
            return
        try:
            while len(os.read(self._handle, _SOME)) == _SOME:
                pass
        except OSError:
            pass  # It has not rung.

    def close(self) -> None:
        """Listen no more."""
        if self._handle != NOBODY:
            os.close(self._handle)
            self._handle = NOBODY


def _watch(database: Path) -> int:
    """A descriptor of inotify for the file's attributes, `NOBODY` where there is none to be had."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        handle = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    except (OSError, AttributeError):
        return NOBODY
    if handle >= 0 and libc.inotify_add_watch(handle, os.fsencode(database), _IN_ATTRIB) < 0:
        os.close(handle)
        return NOBODY
    return handle if handle >= 0 else NOBODY
