"""Where bytes of a log leave the process: a file of ours, or a standard output that we share with others.

An `Outlet` takes what fits now and raises BlockingIOError for the rest: a reader that stalls must not stop the proxy.
O_NONBLOCK belongs to the open file, not to the descriptor, so setting it on an inherited stdout would set it for the
shell and for every sibling too. Pipes and terminals are therefore opened once more, through /proc, as an open file of
our own; sockets are asked per call; where neither works, `poll` is asked first. Knows nothing of lines.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
from collections.abc import Callable
from typing import Final

from meshctl.errors import MeshError

ATOMIC: Final = select.PIPE_BUF
"""What a pipe takes as a whole or not at all, so that lines of several processes do not mix (POSIX write)."""

_APPEND: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_AGAIN: Final = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class Outlet:
    """An open descriptor; `send(bytes)` gives the number of bytes taken, perhaps not all, or raises OSError."""

    __slots__ = ("_give_back", "fd", "identity", "piece", "send")

    def __init__(self, fd: int, send: Callable[[bytes | bytearray], int], give_back: Callable[[], None]) -> None:
        found = os.fstat(fd)
        self.fd = fd
        self.send = send
        self.identity = (found.st_dev, found.st_ino)
        self.piece = 0 if stat.S_ISREG(found.st_mode) else ATOMIC
        """The most bytes to send at a time; 0 for files, which take all."""
        self._give_back = give_back

    def __repr__(self) -> str:
        return f"<Outlet fd={self.fd} {'file' if not self.piece else 'stream'}>"

    def close(self) -> None:
        """Close the descriptor; what was sent is with the kernel already. Closing again does nothing."""
        self.send = _closed  # the number may belong to a client's connection next
        give_back, self._give_back = self._give_back, _nothing
        give_back()


def open_file(path: str) -> Outlet:
    """`path` opened for appending, and made if need be (readable for owner and group). Raises MeshError."""
    try:
        return _owned(os.open(path, _APPEND, 0o640))
    except OSError as error:
        raise MeshError(
            "failed",
            f'log file "{path}" cannot be opened: {error.strerror}',
            hint="the directory must exist and be writable for the user the proxy runs as",
        ) from error


def share(fd: int) -> Outlet:
    """An outlet to what `fd` is open for, without changing anything for those who share it. Raises MeshError."""
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISSOCK(mode):
            return _socket(fd)
        if stat.S_ISREG(mode):
            return _owned(os.dup(fd))  # the same open file: a second one would have its own offset and overwrite
        return _reopened(fd)
    except OSError as error:
        raise MeshError("failed", f"file descriptor {fd} cannot be written to: {error.strerror}") from error


def nowhere() -> Outlet:
    """An outlet that takes nothing, in the place of one that cannot be opened."""
    fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    return Outlet(fd, _closed, lambda: os.close(fd))


def _closed(_: bytes | bytearray) -> int:
    raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def _nothing() -> None:
    pass


def _owned(fd: int) -> Outlet:
    return Outlet(fd, lambda data: os.write(fd, data), lambda: os.close(fd))


def _reopened(fd: int) -> Outlet:
    try:
        return _owned(os.open(f"/proc/self/fd/{fd}", _AGAIN))
    except OSError:  # no /proc, or a pipe made by another user
        return _polled(os.dup(fd))


def _polled(fd: int) -> Outlet:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)

    def send(data: bytes | bytearray) -> int:
        # Writable promises PIPE_BUF bytes, and the owner never sends more. Two processes may both be promised the same
        # room; one then waits for the reader: the price where no open file of our own can be had.
        if not poll.poll(0):
            raise BlockingIOError
        return os.write(fd, data)

    return Outlet(fd, send, lambda: os.close(fd))


def _socket(fd: int) -> Outlet:
    peer = socket.socket(fileno=os.dup(fd))
    return Outlet(peer.fileno(), lambda data: peer.send(data, socket.MSG_DONTWAIT), peer.close)
