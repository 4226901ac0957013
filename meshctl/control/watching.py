"""Looking on at all proxies of a mesh at once: a stream from each, put together as it comes.

Proxies that are started later join, those that end leave. Blocks in one thread; when it ends, however it does, the
kernel closes the streams and the proxies stop showing. Must not know what is done with what is seen.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol
from urllib.parse import urlencode

import msgspec

from meshctl import clock
from meshctl.errors import because
from meshctl.model.tap import TapEvent, TapFilter, Tapped
from meshctl.model.views import ProxyRecord

LOOK_AGAIN: Final = 2.0
"""Seconds between two looks for proxies that were started meanwhile."""
PATIENCE: Final = 2.0
"""Seconds a proxy gets to take the question."""

_READ: Final = 1 << 18
_DECODER: Final = msgspec.json.Decoder(Tapped)


class Heard(NamedTuple):
    """What came meanwhile."""

    seen: Sequence[tuple[ProxyRecord, TapEvent]] = ()
    skipped: int = 0
    """Requests that were wanted and not shown."""
    lost: Sequence[tuple[ProxyRecord, str]] = ()
    """Proxies that do not show anything, and why: "" for one that has ended."""
    is_key: bool = False
    """Whether the keyboard has something to say."""


class _Named(Protocol):
    def fileno(self) -> int: ...


class Watch:
    """All that passes a filter, in every proxy that `find` finds."""

    def __init__(self, find: Callable[[], Sequence[ProxyRecord]], wanted: TapFilter) -> None:
        self._find = find
        self._target = urlencode({"filter": msgspec.json.encode(wanted).decode()})
        self._selector = selectors.DefaultSelector()
        self._streams: dict[tuple[str, int], _Stream] = {}
        self._refused: set[tuple[str, int]] = set()
        self._look_at = 0.0

    def __repr__(self) -> str:
        return f"<Watch {list(self._streams)}>"

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self._streams.values():
            stream.end.close()
        self._selector.close()

    def __len__(self) -> int:
        return len(self._streams)

    def listen_to(self, keyboard: _Named) -> None:
        """Tell of keys, too."""
        self._selector.register(keyboard.fileno(), selectors.EVENT_READ, None)

    def hear(self, timeout: float) -> Heard:
        """What comes within `timeout` seconds, as soon as anything does."""
        lost = self._look() if clock.monotonic() >= self._look_at else []
        seen: list[tuple[ProxyRecord, TapEvent]] = []
        skipped, is_key = 0, False
        if lost:
            return Heard(lost=lost)
        for key, _ in self._selector.select(max(timeout, 0.0)):
            stream: _Stream | None = key.data
            if stream is None:
                is_key = True
                continue
            try:
                for line in stream.read():
                    if line.event is not None:
                        seen.append((stream.record, line.event))
                    skipped += line.skipped
            except (OSError, EOFError, ValueError) as error:
                lost.append((stream.record, "" if isinstance(error, EOFError) else str(error)))
                self._forget(stream)
        return Heard(seen, skipped, lost, is_key)

    def _look(self) -> list[tuple[ProxyRecord, str]]:
        """Begin with those that are new."""
        self._look_at = clock.monotonic() + LOOK_AGAIN
        lost = []
        for record in self._find():
            name = (record.id, record.pid)
            if name in self._streams or name in self._refused:
                continue
            try:
                stream = self._streams[name] = _Stream(record, self._target)
            except OSError as error:
                self._refused.add(name)
                lost.append((record, f"it does not answer: {because(error)}"))
                continue
            self._selector.register(stream.end, selectors.EVENT_READ, stream)
        return lost

    def _forget(self, stream: _Stream) -> None:
        self._selector.unregister(stream.end)
        stream.end.close()
        name = (stream.record.id, stream.record.pid)
        del self._streams[name]
        self._refused.add(name)


class _Stream:
    """What one proxy shows."""

    def __init__(self, record: ProxyRecord, target: str) -> None:
        self.record = record
        self._rest = b""
        self._is_begun = False
        self.end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.end.settimeout(PATIENCE)
            self.end.connect(record.socket)
            self.end.sendall(f"GET /v1/tap?{target} HTTP/1.1\r\nHost: meshctl\r\n\r\n".encode())
            self.end.setblocking(False)
        except OSError:
            self.end.close()
            raise

    def read(self) -> Iterator[Tapped]:
        """The lines that have come. Raises EOFError, OSError and ValueError."""
        try:
            data = self.end.recv(_READ)
        except BlockingIOError:
            return
        if not data:
            raise EOFError
        self._rest += data
        if not self._is_begun:
            head, mark, rest = self._rest.partition(b"\r\n\r\n")
            if not mark:
                return
            if not head.startswith(b"HTTP/1.1 200 "):
                raise ValueError("it is of another version of meshctl, which shows nothing")
            self._rest, self._is_begun = rest, True
        *lines, self._rest = self._rest.split(b"\n")
        yield from map(_DECODER.decode, lines)
