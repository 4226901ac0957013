"""Keeping lines until their outlet takes them: bounded, in order, never blocking, never raising.

A full disk, a reader that stalls and a closed pipe cost log lines, which are counted, and nothing else. What an outlet
did not take waits here, up to `LIMIT`; then new lines are dropped. A file that was moved away is opened anew under its
name. Knows nothing of what the lines say.
"""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable
from typing import Final

from meshctl import clock
from meshctl.errors import MeshError
from meshctl.observe.outlet import Outlet, nowhere, open_file, share

LIMIT: Final = 1 << 20
"""The bytes that may wait."""

_LOOK_EVERY: Final = 1.0
_NEWLINE: Final = ord("\n")
# These pass: somebody frees space or moves the file. After any other error nobody will ever read what waits.
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Sink:
    """Whole lines before an outlet: the file `path`, or what `fd` is open for where it is None. Raises MeshError where
    that cannot be opened; one that `may_wait` loses lines instead, and counts them, until it can."""

    __slots__ = (
        "_is_stalled",
        "_is_torn",
        "_look_at",
        "_now",
        "_outlet",
        "_path",
        "_refusal",
        "_trouble",
        "_waiting",
        "dropped",
    )

    def __init__(
        self, path: str | None, *, fd: int = 1, now: Callable[[], float] = clock.monotonic, may_wait: bool = False
    ) -> None:
        self._path = path
        self._refusal = ""  # what the last opening met
        try:
            self._outlet: Outlet = share(fd) if path is None else open_file(path)
        except MeshError as error:
            if not may_wait:
                raise
            self._outlet, self._refusal = nowhere(), error.message
        self._waiting = bytearray()
        self._is_torn = False  # the outlet has the beginning of the first line that waits
        self._now = now
        self._look_at = now() + _LOOK_EVERY
        self.dropped = 0
        """Lines lost so far."""
        self._is_stalled = False  # the reader took nothing more
        self._trouble = ""  # what the last write met

    def __repr__(self) -> str:
        where = self._path or f"fd {self._outlet.fd}"
        return f"<Sink {where} {len(self._waiting)} bytes waiting, {self.dropped} lines dropped>"

    @property
    def problem(self) -> str:
        """Why lines wait or were lost, in words; empty when all is well."""
        return self._refusal or self._trouble

    def write(self, lines: bytes) -> None:
        """Take whole lines, and pass on what the outlet takes now."""
        self._drain()
        if not self._waiting:
            lines = lines[self._pass_on(lines) :]
        elif len(self._waiting) + len(lines) > LIMIT:
            self.dropped += lines.count(b"\n")
            return
        self._waiting += lines

    def flush(self) -> None:
        """Pass on what waits, a few times a second. Follows a moved or removed file, looking once a second."""
        if self._path is not None and self._now() >= self._look_at:
            self._look_at = self._now() + _LOOK_EVERY
            if self._was_moved(self._path):
                self.reopen()
        self._drain()

    def reopen(self) -> bool:
        """Open the file under its name again, after a rotation; on failure go on with the old one and return False."""
        if self._path is None:
            return True
        self._drain()
        try:
            outlet = open_file(self._path)
        except MeshError as error:
            self._refusal = error.message
            return False
        self._refusal = ""
        if self._is_torn:  # the rest of a line is of no use in another file
            self._drop(self._waiting.index(b"\n") + 1)
        self._outlet.close()
        self._outlet = outlet
        self._drain()
        return True

    def close(self, patience: float = 2.0) -> None:
        """Pass on everything, waiting at most `patience` seconds for a slow reader; count what is lost; close."""
        deadline = self._now() + patience
        self._drain()
        while self._waiting and self._is_stalled and self._is_writable(deadline - self._now()):
            self._drain()
        self._drop(len(self._waiting))
        self._outlet.close()

    def _drain(self) -> None:
        if self._waiting:
            del self._waiting[: self._pass_on(self._waiting)]

    def _pass_on(self, lines: bytes | bytearray) -> int:
        """Send what the outlet takes; how much of `lines` is done with, be it sent or lost."""
        done = 0
        self._is_stalled = False
        try:
            while done < len(lines):
                done += self._outlet.send(lines[done : self._end_of_piece(lines, done)])
        except BlockingIOError:
            self._is_stalled = True
            self._trouble = "the reader of the log does not keep up"
        except OSError as error:
            self._trouble = f"the log cannot be written: {error.strerror}"
            if error.errno not in _FULL:
                self.dropped += lines.count(b"\n", done)
                done = len(lines)
        else:
            self._trouble = ""
        if done:
            self._is_torn = lines[done - 1] != _NEWLINE
        return done

    def _end_of_piece(self, lines: bytes | bytearray, start: int) -> int:
        """Where the next write ends: a file takes everything, a pipe whole lines that fit in as one."""
        most = self._outlet.piece
        if not most or len(lines) - start <= most:
            return len(lines)
        return lines.rfind(b"\n", start, start + most) + 1 or start + most

    def _drop(self, length: int) -> None:
        self.dropped += self._waiting.count(b"\n", 0, length)
        del self._waiting[:length]
        self._is_torn = False

    def _was_moved(self, path: str) -> bool:
        try:
            found = os.stat(path)
        except OSError:
            return True
        return (found.st_dev, found.st_ino) != self._outlet.identity

    def _is_writable(self, timeout: float) -> bool:
        poll = select.poll()
        poll.register(self._outlet.fd, select.POLLOUT)
        return timeout > 0 and bool(poll.poll(timeout * 1000))
