"""The Unix socket that a proxy is asked through: private from the moment it exists, and made again where somebody has
removed it, as those do who tidy up /tmp. Must not know what is asked.
"""

from __future__ import annotations

import os
import socket
from typing import Final

from meshctl.errors import MeshError

BACKLOG: Final = 64


class AdminSocket:
    """A socket at `path`, which nobody else uses while this process lives. One left by a killed proxy is replaced."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._is = (0, 0)

    def __repr__(self) -> str:
        return f"<AdminSocket {self._path}>"

    @property
    def is_there(self) -> bool:
        """Whether what stands at the path is the socket that was made last."""
        try:
            found = os.stat(self._path, follow_symlinks=False)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._is

    def make(self) -> socket.socket:
        """A new one, listening. Raises MeshError."""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            self._make_way()
            made.bind(self._path)
            found = os.stat(self._path)
        except OSError as error:
            made.close()
            raise MeshError("home_unusable", f"{self._path}: {os.strerror(error.errno or 0).lower()}") from error
        finally:
            os.umask(before)
        made.listen(BACKLOG)
        self._is = found.st_dev, found.st_ino
        return made

    def remove(self) -> None:
        """Leave nothing behind."""
        if self.is_there:
            try:
                os.unlink(self._path)
            except OSError:
                pass

    def _make_way(self) -> None:
        """Have the folder, which others may have removed with all that was in it, and nothing at the path."""
        folder = os.path.dirname(self._path)
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            if not os.path.isdir(folder):
                # Only itself: a home that was removed stays so.
                os.umask(0o077)
                os.mkdir(folder, 0o700)
                os.umask(0o177)
        if os.stat(folder).st_uid != os.geteuid():
            raise PermissionError(1, "somebody else's folder")
