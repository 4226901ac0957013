"""A secret in a file that nobody else may read, and that is read again once it is another."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from meshctl.errors import because
from meshctl.proxy.sources import read_file

LARGEST: Final = 4_096


class SecretFile:
    """See the module. Raises ValueError where it cannot be used from the beginning."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._seen: tuple[int, ...] = ()
        self._secret = ""
        self.refresh()

    def __repr__(self) -> str:
        return f"<SecretFile {self._path}>"

    def refresh(self) -> None:
        """Read the file, where it is another than before. Raises ValueError, and then nothing has changed."""
        try:
            found = self._path.stat()
        except OSError as error:
            raise ValueError(f'"{self._path}" cannot be read: {because(error)}') from error
        seen = (found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode)
        if seen != self._seen:
            self._secret = self._read(found)
            self._seen = seen

    def secret(self) -> str:
        """The secret as it is now; the one before where the file cannot be used any more."""
        try:
            self.refresh()
        except ValueError:
            pass  # The next revision tells, and whoever does not take the old secret any more.
        return self._secret

    def _read(self, found: os.stat_result) -> str:
        bits = stat.S_IMODE(found.st_mode)
        if bits & 0o077:
            raise ValueError(f'"{self._path}" holds a secret, and others may read it (mode {bits:04o}): chmod 600')
        text = read_file(self._path, LARGEST)
        try:
            secret = text.decode().strip("\r\n")
        except UnicodeDecodeError:
            secret = ""
        if not secret or not secret.isprintable() or len(text) > LARGEST:
            raise ValueError(f'"{self._path}" has no secret in it: one line of text')
        return secret
