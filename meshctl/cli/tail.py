"""The last lines of files, and what is written to them from then on, across rotation. Knows no content."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import BinaryIO, Final

_LOOK: Final = 0.1
"""Seconds between two looks at a followed file: there is no portable way to be told."""
_BLOCK: Final = 1 << 16


def tail(
    files: Sequence[Path], lines: int, *, follow: bool, ended: Callable[[], bool] = lambda: False
) -> Iterator[str]:
    """The last `lines` lines of each file, then with `follow` every new one until `ended`, also after a rotation."""
    readers = [Reader(path) for path in files]
    pause = Event()
    try:
        for reader in readers:
            yield from reader.last(lines)
        while follow and not ended():
            fresh = [line for reader in readers for line in reader.fresh()]
            yield from fresh
            if not fresh:
                pause.wait(_LOOK)
    finally:
        for reader in readers:
            reader.close()


class Reader:
    """One file that may be moved away and made anew, or cut short, while it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = self._open()
        self._partial = b""

    def last(self, lines: int) -> list[str]:
        """The last `lines` lines there are now; reading goes on after them."""
        if self._file is None:
            return []
        at = self._file.seek(0, os.SEEK_END)
        block = b""
        while at > 0 and block.count(b"\n") <= lines:
            size = min(_BLOCK, at)
            at -= size
            self._file.seek(at)
            block = self._file.read(size) + block
        self._file.seek(0, os.SEEK_END)
        whole, _, self._partial = block.rpartition(b"\n")
        found = whole.split(b"\n") if whole else []
        return [_decoded(line) for line in found[-lines:]] if lines else []

    def fresh(self) -> list[str]:
        """The whole lines written since the last look."""
        found = self._read()
        if self._was_replaced():
            found += self._read()
            if self._partial:
                found.append(_decoded(self._partial))
                self._partial = b""
            self.close()
            self._file = self._open()
            found += self._read()
        return found

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> BinaryIO | None:
        try:
            return self._path.open("rb")
        except FileNotFoundError:
            return None

    def _read(self) -> list[str]:
        if self._file is None:
            return []
        *whole, self._partial = (self._partial + self._file.read()).split(b"\n")
        return [_decoded(line) for line in whole]

    def _was_replaced(self) -> bool:
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False
        if self._file is None:
            return True
        mine = os.fstat(self._file.fileno())
        return (now.st_dev, now.st_ino) != (mine.st_dev, mine.st_ino) or now.st_size < self._file.tell()


def _decoded(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace")
