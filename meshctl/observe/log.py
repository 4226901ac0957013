"""What a proxy tells of itself: one event name and fields, on standard error, a line each.

Built on `logging`, so libraries' warnings come out the same way, and on `Sink`, so a terminal or pipe that nobody reads
cannot stop the proxy. Nothing is formatted unless it is written. Requests are told of by the access log, not here.

    events = Events("worker")
    events.warning("endpoint ejected", service="orders", endpoint="127.0.0.1:9001", seconds=10)
"""

from __future__ import annotations

import logging
from typing import Final, Literal

from meshctl import clock
from meshctl.errors import MeshError
from meshctl.observe.quoting import escaped, quoted
from meshctl.observe.sink import Sink

_ROOT: Final = "meshctl"
Level = Literal["info", "warning", "error"]


class Events:
    """Tells the events of one part of the proxy. Fields are written as `str` has them; exceptions go into `error=`."""

    __slots__ = ("_logger",)

    def __init__(self, part: str) -> None:
        self._logger = logging.getLogger(f"{_ROOT}.{part}")

    def __repr__(self) -> str:
        return f"<Events {self._logger.name}>"

    def info(self, event: str, /, **fields: object) -> None:
        """Tell what happens in the ordinary course of things."""
        self._tell(logging.INFO, event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """Tell what somebody should look at some time."""
        self._tell(logging.WARNING, event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        """Tell what somebody should look at now."""
        self._tell(logging.ERROR, event, fields)

    def _tell(self, level: int, event: str, fields: dict[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={"fields": fields})


def configure(*, level: Level | None = None, fd: int = 2) -> None:
    """Send events from `level` on, and what other libraries warn of from there on, to what `fd` is open for; nowhere if
    it is closed.

    Called again, as in a process that was forked, it takes the place of the earlier call, and without a `level` it
    keeps that one's."""
    root = logging.getLogger()
    for handler in [known for known in root.handlers if isinstance(known, _Lines)]:
        root.removeHandler(handler)
        handler.close()
    ours = logging.getLogger(_ROOT)
    if level is not None or not ours.level:
        ours.setLevel((level or "info").upper())
    root.setLevel(max(ours.level, logging.WARNING))
    try:
        root.addHandler(_Lines(Sink(None, fd=fd)))
    except MeshError:
        root.addHandler(logging.NullHandler())


class _Lines(logging.Handler):
    """Gives each record to a sink as one line."""

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._sink.write(_text(record).encode("utf-8", "backslashreplace") + b"\n")
        except Exception:  # a field that cannot be written must not end what told of it
            self.handleError(record)

    def flush(self) -> None:
        self._sink.flush()

    def close(self) -> None:
        self._sink.close(patience=0.2)
        super().close()


def _text(record: logging.LogRecord) -> str:
    words = [clock.timestamp(record.created), f"{record.levelname.lower():<7}", escaped(record.getMessage())]
    fields: dict[str, object] = getattr(record, "fields", {})
    if record.exc_info and record.exc_info[1] is not None:
        fields = {**fields, "error": record.exc_info[1], "traceback": _traceback(record.exc_info[1])}
    words += (f"{name}={quoted(_said(value))}" for name, value in fields.items())
    return " ".join(words)


def _said(value: object) -> object:
    return f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else value


def _traceback(error: BaseException) -> str:
    from traceback import format_exception

    return "".join(format_exception(error))
