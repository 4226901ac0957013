"""Answers that are compressed on their way to the client, piece by piece: nothing of a body is kept but the window of
its coding.

A body whose length is not known may be one that somebody waits for, so all that one read brought goes out at once; one
of known length may wait for the next piece. Which coding a client gets is decided before (`filters.compression`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from meshctl.model.passing import Compression
from meshctl.proxy.codings import Coder, coder
from meshctl.proxy.through import Through
from meshctl.wire.fields import Fields
from meshctl.wire.message import CHUNKED

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange

_EVENTS: Final = "text/event-stream"
_LONGEST: Final = 128
"""Characters of a media type that is remembered: a client may send a longer one, and another each time."""
_GONE: Final = frozenset((b"accept-ranges", b"content-digest", b"repr-digest", b"digest", b"content-md5"))
"""What is true of the body as it came alone."""
_LEFT_ALONE: Final = frozenset((b"content-encoding", b"content-range", b"cache-control"))
"""What says that a body is not to be compressed, or not once more; cache-control by `no-transform` alone."""
_BODILESS: Final = frozenset((204, 205, 206, 304))
"""Statuses without a body, or with a part of one, which must be a part of what the client has."""


class Compressing(Through):
    """The client of an exchange whose answer may be compressed."""

    def __init__(self, exchange: Exchange, settings: Compression, coding: str) -> None:
        super().__init__(exchange.stream)
        self._exchange = exchange
        self._settings = settings
        self._coding = coding
        self._coder: Coder | None = None
        self._is_prompt = False
        self._holds = False
        self._sent = 0

    def send_head(self, status: int, fields: Fields, length: int, *, body: bool, final: bool = True) -> None:
        """See `stream.Stream`."""
        if final and body and self._suits(status, fields, length):
            self._coder = coder(self._coding)
            self._is_prompt = length < 0
            fields, length = coded(fields, self._coding), CHUNKED
        self.stream.send_head(status, fields, length, body=body, final=final)

    def send_whole(self, status: int, fields: Fields, body: bytes | memoryview) -> None:
        """See `stream.Stream`."""
        if self._suits(status, fields, len(body)):
            made = coder(self._coding)
            short = made.take(body) + made.end()
            if len(short) < len(body):
                fields, body = coded(fields, self._coding), short
                self._exchange.sent = len(short)
        self.stream.send_whole(status, fields, body)

    def send_body(self, data: bytes | memoryview) -> None:
        """See `stream.Stream`."""
        if self._coder is None:
            self.stream.send_body(data)
            return
        self._holds = True
        self._pass(self._coder.take(data))

    def send_raw(self, data: bytes | memoryview) -> None:
        """See `stream.Stream`."""
        if self._coder is None:
            self.stream.send_raw(data)
            return
        self.send_body(data)
        self.stream.flush()

    def flush(self) -> None:
        """See `stream.Stream`."""
        if self._coder is not None and self._is_prompt and self._holds:
            self._holds = False
            self._pass(self._coder.flush())
        self.stream.flush()

    def send_end(self, trailers: Fields) -> None:
        """See `stream.Stream`."""
        if self._coder is not None:
            self._pass(self._coder.end())
            self._coder = None
            self._exchange.sent = self._sent
        self.stream.send_end(trailers)

    def _pass(self, data: bytes) -> None:
        if data:
            self._sent += len(data)
            self.stream.send_body(data)

    def _suits(self, status: int, fields: Fields, length: int) -> bool:
        if status in _BODILESS or 0 <= length < self._settings.minimum:
            return False
        kind = ""
        for line in fields:
            name, _, value = line.partition(b":")
            low = name.lower()
            if low == b"content-type":
                kind = value.decode("latin-1").partition(";")[0].strip().lower()
            elif low in _LEFT_ALONE and (low != b"cache-control" or b"no-transform" in value.lower()):
                return False
        return kind != _EVENTS and is_among(kind, self._settings.types)


def is_among(kind: str, types: tuple[str, ...]) -> bool:
    """Whether a media type is one of these, in which a star stands for any word."""
    return _known(kind, types) if len(kind) <= _LONGEST else _is_among(kind, types)


def _is_among(kind: str, types: tuple[str, ...]) -> bool:
    return any(re.fullmatch(re.escape(each).replace(r"\*", "[^/]*"), kind) for each in types)


_known: Final = lru_cache(maxsize=1024)(_is_among)


def coded(fields: Fields, coding: str) -> Fields:
    """The fields of an answer in that coding. What named its bytes names them no more (RFC 9110 §8.8.3.3)."""
    found = []
    for line in fields:
        low = line[: line.index(b":")].lower()
        if low == b"etag":
            tag = line[5:].strip()
            line = line if tag.startswith(b"W/") else b"ETag: W/" + tag  # noqa: PLW2901
        if low not in _GONE:
            found.append(line)
    found.append(b"Content-Encoding: " + coding.encode())
    return found
