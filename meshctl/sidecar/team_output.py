"""Where the output of a team goes: from many pipes, line by line, to one standard output.

Whoever reads that sets the pace: while it takes nothing more, nothing more is read, and programs that go on writing
wait in their own write calls, as they would without us. So what waits here is bounded. Knows nothing of processes.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from typing import Final

from meshctl import clock
from meshctl.errors import MeshError
from meshctl.observe.outlet import Outlet, share
from meshctl.sidecar.team_lines import Kind, Line, Lines, Names

_AT_A_TIME: Final = 32_768
_HIGH: Final = 256 * 1024
"""Bytes that may wait before nothing more is read."""
_LEFT_BEHIND: Final = 64
"""Reads that get what a program has left in its pipe. A pipe holds 64 KiB, or at most 1 MiB."""


class Output:
    """See the module. `on_broken` is called when nobody reads any more; with `is_dated` lines begin with the time at
    which they came, for a file that is read later."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, names: Names, *, is_quiet: bool = False, is_dated: bool = False
    ) -> None:
        self.on_broken: Callable[[], None] = lambda: None
        self._loop = loop
        self._names = names
        self._is_quiet = is_quiet
        self._is_dated = is_dated
        self._out = _Stream(loop, 1, self._on_room, self._on_gone)
        self._talk = _Stream(loop, 2, self._on_room, lambda: None)
        self._sources: set[Source] = set()

    def __repr__(self) -> str:
        return f"<Output of {len(self._sources)} pipes, {self._out!r}>"

    def attach(self, name: str, kind: Kind, fd: int) -> Source:
        """Show what comes out of the pipe `fd`, which is closed at its end."""
        os.set_blocking(fd, False)
        source = Source(self, name, kind, fd)
        self._sources.add(source)
        if not self._out.is_full:
            self._loop.add_reader(fd, source.read)
        return source

    def say(self, name: str, text: str) -> None:
        """Say something about `name`; held back where talk is not wanted."""
        if not self._is_quiet:
            self.warn(name, text)

    def warn(self, name: str, text: str) -> None:
        """Say what has to be said."""
        self._talk.write(self._shown(name, "own", [Line(each.encode()) for each in text.split("\n")]))

    async def flush(self, seconds: float) -> None:
        """Return when all is written, or after `seconds`: a reader that stands still must not hold up the end."""
        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(self._out.empty.wait(), self._talk.empty.wait())
        except TimeoutError:
            pass

    # of its sources

    def show(self, source: Source, lines: list[Line]) -> None:
        """Write the lines of one source."""
        if lines:
            self._out.write(self._shown(source.name, source.kind, lines))
        if self._out.is_full:
            for each in self._sources:
                self._loop.remove_reader(each.fd)

    def detach(self, source: Source) -> None:
        """Nothing more comes from this source."""
        self._loop.remove_reader(source.fd)
        self._sources.discard(source)
        os.close(source.fd)

    def _shown(self, name: str, kind: Kind, lines: list[Line]) -> str:
        date = f"{clock.timestamp(clock.wall())} " if self._is_dated else ""
        return "".join(date + self._names.show(name, kind, line) for line in lines)

    def _on_gone(self) -> None:
        self.on_broken()

    def _on_room(self) -> None:
        for each in self._sources:
            self._loop.add_reader(each.fd, each.read)


class Source:
    """One pipe out of a program."""

    def __init__(self, output: Output, name: str, kind: Kind, fd: int) -> None:
        self.name = name
        self.kind = kind
        self.fd = fd
        self._output = output
        self._lines = Lines()
        self._is_open = True

    def __repr__(self) -> str:
        return f"<Source {self.name} {self.kind} {'open' if self._is_open else 'closed'}>"

    def read(self) -> bool:
        """Take what is there; whether there may be more."""
        try:
            data = os.read(self.fd, _AT_A_TIME)
        except BlockingIOError:
            return False
        if data:
            self._output.show(self, self._lines.feed(data))
            return True
        self._end()
        return False

    def finish(self) -> None:
        """The program has ended: take what it left, and wait for no others that have the pipe."""
        for _ in range(_LEFT_BEHIND):
            if not self._is_open or not self.read():
                break
        if self._is_open:
            self._end()

    def _end(self) -> None:
        self._is_open = False
        self._output.show(self, self._lines.end())
        self._output.detach(self)


class _Stream:
    """One of our standard streams, and what it has not taken yet."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, fd: int, on_room: Callable[[], None], on_broken: Callable[[], None]
    ) -> None:
        self.empty = asyncio.Event()
        self.empty.set()
        self._loop = loop
        self._on_room = on_room
        self._on_broken = on_broken
        self._waiting = bytearray()
        self._outlet: Outlet | None = None
        try:
            self._outlet = share(fd)
        except MeshError:
            pass  # It was closed before we began: nobody wants to know.

    def __repr__(self) -> str:
        return f"<_Stream {self._outlet!r}, {len(self._waiting)} bytes waiting>"

    @property
    def is_full(self) -> bool:
        """Whether enough waits already."""
        return len(self._waiting) > _HIGH

    def write(self, text: str) -> None:
        """Pass the text on, now or when there is room."""
        if self._outlet is None:
            return
        was_empty = not self._waiting
        self._waiting += text.encode("utf-8", "backslashreplace")
        if was_empty:
            self._send(self._outlet)

    def _send(self, outlet: Outlet) -> None:
        try:
            while self._waiting:
                end = len(self._waiting)
                if outlet.piece and end > outlet.piece:
                    # Whole lines, as far as they fit: others may write there as well.
                    end = self._waiting.rfind(b"\n", 0, outlet.piece) + 1 or outlet.piece
                del self._waiting[: outlet.send(self._waiting[:end])]
        except BlockingIOError:
            if self.empty.is_set():
                self.empty.clear()
                self._loop.add_writer(outlet.fd, self._go_on, outlet)
            return
        except OSError as error:
            self._lose(outlet, error)
        if not self.empty.is_set():
            self._loop.remove_writer(outlet.fd)
            self.empty.set()

    def _go_on(self, outlet: Outlet) -> None:
        was_full = self.is_full
        self._send(outlet)
        if was_full and not self.is_full:
            self._on_room()

    def _lose(self, outlet: Outlet, error: OSError) -> None:
        """What cannot be written is lost; after some errors nothing ever can."""
        self._waiting.clear()
        if error.errno in (errno.EPIPE, errno.EIO, errno.EBADF, errno.ECONNRESET):
            self._outlet = None
            self._on_broken()
