"""One line for each request: gathering what is known at its end, cheaply, for a file or standard output.

`append` is the only part that every request pays: a struct and a list. Rendering happens for a batch, writing when a
batch is full or the owner's timer says so. Authorization and Cookie have no field here, and a query string is replaced
unless the configuration asks for it. Several workers may write to one file: each write is of whole lines, appended.
"""

from __future__ import annotations

from typing import Final

from meshctl import clock
from meshctl.model import mesh
from meshctl.observe.access_line import RENDER, Line, Render
from meshctl.observe.outlet import open_file
from meshctl.observe.sink import Sink

FLUSH_EVERY: Final = 0.25
"""Seconds after which the owner's timer should call `flush`."""

_BATCH: Final = 64  # lines, some 32 KiB: what they refer to stays in the processor's cache until it is rendered
_LONGEST_HOST: Final = 255
_LONGEST_PATH: Final = 2_048
_LONGEST_AGENT: Final = 512
_USUAL: Final = 512


class AccessLog:
    """The access log of one worker. Nothing here raises, and only `close` may wait."""

    __slots__ = ("_lines", "_millisecond", "_redact", "_render", "_second", "_second_stamp", "_sink", "_stamp")

    def __init__(self, sink: Sink, *, render: Render = RENDER["json"], redact: bool = True) -> None:
        self._sink = sink
        self._render = render
        self._redact = redact
        self._lines: list[Line] = []
        self._second = self._millisecond = -1
        self._second_stamp = self._stamp = ""

    def __repr__(self) -> str:
        return f"<AccessLog {len(self._lines)} lines to render, {self._sink!r}>"

    def stamp(self, now: float) -> str:
        """What a line says of a time, in seconds since the epoch."""
        millisecond = int(now * 1000)
        if millisecond != self._millisecond:  # under load several requests share one
            self._tick(millisecond)
        return self._stamp

    def append(self, line: Line) -> None:
        """Log a finished request. Its `path` is the target with its query; bytes that are no UTF-8 come decoded as
        Latin-1."""
        path = line.path
        if self._redact:
            query = path.find("?")
            if query >= 0:
                path = line.path = path[:query] + "?…"
        if len(path) + len(line.host) + len(line.user_agent) > _USUAL:
            line.path = _cut(path, _LONGEST_PATH)
            line.host = _cut(line.host, _LONGEST_HOST)
            line.user_agent = _cut(line.user_agent, _LONGEST_AGENT)
        lines = self._lines
        lines.append(line)
        if len(lines) >= _BATCH:
            self._pass_on()

    @property
    def dropped(self) -> int:
        """Lines lost so far, to a full disk, a slow reader, one that has gone, a file that cannot be opened."""
        return self._sink.dropped

    @property
    def problem(self) -> str:
        """Why lines wait or were lost; empty when all is well."""
        return self._sink.problem

    def flush(self) -> None:
        """Write what was gathered; follows a file that was moved away."""
        self._pass_on()
        self._sink.flush()

    def reopen(self) -> bool:
        """After a rotation (SIGHUP): write what was gathered to the old file, open the new; False where that failed."""
        self._pass_on()
        return self._sink.reopen()

    def close(self) -> None:
        """Write everything, giving a slow reader two seconds, and close."""
        self._pass_on()
        self._sink.close()

    def _tick(self, millisecond: int) -> None:
        second, fraction = divmod(millisecond, 1000)
        if second != self._second:
            self._second = second
            self._second_stamp = clock.timestamp(second)[:19]
        self._millisecond = millisecond
        self._stamp = f"{self._second_stamp}.{fraction:03d}Z"

    def _pass_on(self) -> None:
        if self._lines:
            lines, self._lines = self._lines, []
            self._sink.write(self._render(lines))


def open_access_log(config: mesh.AccessLog, *, stdout: int = 1) -> AccessLog | None:
    """The log that `config` asks for, None where it is off. Where the file cannot be opened, lines are lost and counted
    until it can, and its `problem` is why."""
    if config.path == "off":
        return None
    sink = Sink(None if config.path == "stdout" else config.path, fd=stdout, may_wait=True)
    return AccessLog(sink, render=RENDER[config.format], redact=config.redact)


def check_access_log(config: mesh.AccessLog) -> None:
    """Raises MeshError where the file that `config` asks for cannot be opened."""
    if config.path not in {"off", "stdout"}:
        open_file(config.path).close()


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + "…"
