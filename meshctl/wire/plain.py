"""The short way for messages that come whole and plain, as nearly all do: one read, one head, nothing special about it.

Calling back for every field is most of what reading a head costs, and a connection says nearly the same fields again
with every message. So a head that lies in one read is split at its line ends, and what was made of its fields is kept
for the next message of the connection, which needs no look at them if they are the same bytes. llhttp judges every
field and every request line, without any callback. Whatever is not plain (a request's body, an answer's whose length is
not known, an upgrade, HTTP/1.0, something behind the message, anything llhttp refuses) is declined, and the full reader
reads it from its first byte: nothing here can decide differently, only sooner. A test holds both to the same result.
"""

from __future__ import annotations

from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, HttpResponseParser

from meshctl.wire.fields import MOST_NAMES, REQUEST_READ, RESPONSE_READ, Fields
from meshctl.wire.message import Request, Response
from meshctl.wire.target import split_host

METHODS: Final = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")}
LONGEST_NAME: Final = 128
_MOST_CHANGED: Final = 4
_MOST_DIGITS: Final = 18
"""Of a length: longer ones may not fit in 63 bits."""
_LONG: Final = 65_536
"""Bytes from which a body is not copied to be had without its head."""

_BLANK: Final = b"\r\n\r\n"
_SILENT: Final = object()
"""What the judging parsers call back: nothing, for it has no such methods."""

# What makes a message other than plain: it has a body to come, or changes the connection.
_REQUEST_DECLINED: Final = frozenset(
    (
        b"content-length",
        b"transfer-encoding",
        b"upgrade",
        b"expect",
        b"te",
        b"trailer",
        b"keep-alive",
        b"proxy-connection",
    )
)
_RESPONSE_DECLINED: Final = frozenset((b"transfer-encoding", b"upgrade", b"trailer", b"proxy-connection"))
_KEEPS: Final = frozenset((None, b"keep-alive", b"Keep-Alive"))

# Spellings of field names that pass, learnt from traffic; shared by all connections of a process.
_REQUEST_PASSING: Final[set[bytes]] = set()
_RESPONSE_PASSING: Final[set[bytes]] = set()


class _Fields:
    """What a connection's last head said, so that the next one need only be read where it differs."""

    __slots__ = ("_at", "_lines", "_passing", "_read", "passing", "special")

    def __init__(self, read: frozenset[bytes], passing: set[bytes]) -> None:
        self._read = read
        self._passing = passing
        self._lines: list[bytes] = []
        # Where each line went: its place in `passing`, or its name in `special`
        self._at: list[int | bytes] = []
        self.passing: Fields = []
        self.special: dict[bytes, bytes] = {}

    def take(self, lines: list[bytes]) -> bool:
        """Read the lines of a head; False where a field that the proxy reads repeats."""
        return self._amend(lines) or self._sort(lines)

    def forget(self) -> None:
        """The head was none."""
        self._lines = []

    def _amend(self, lines: list[bytes]) -> bool:
        """Read a head that differs from the last one in a few values; False where it differs in more."""
        if not self._lines or len(lines) != len(self._lines):
            return False
        changed = [
            (at, line, last) for at, line, last in zip(self._at, lines, self._lines, strict=True) if line != last
        ]
        if len(changed) > _MOST_CHANGED:
            return False
        passing, special = self.passing.copy(), self.special.copy()
        for at, line, last in changed:
            colon = last.find(b":") + 1
            if not colon or line[:colon] != last[:colon]:
                return False
            if isinstance(at, int):
                passing[at] = line
            else:
                special[at] = _value(line, colon)
        # New objects, because the last message may still be under way with the old ones.
        self._lines, self.passing, self.special = lines, passing, special
        return True

    def _sort(self, lines: list[bytes]) -> bool:
        """Read a head from scratch."""
        fields: Fields = []
        special: dict[bytes, bytes] = {}
        places: list[int | bytes] = []
        names = self._passing
        for line in lines:
            colon = line.find(b":")
            name = line[:colon]
            if name not in names:
                low = name.lower()
                if low in self._read:
                    if low in special:
                        return False
                    special[low] = _value(line, colon + 1)
                    places.append(low)
                    continue
                if len(names) < MOST_NAMES and len(name) <= LONGEST_NAME:
                    names.add(name)
            places.append(len(fields))
            fields.append(line)
        self._lines, self._at, self.passing, self.special = lines, places, fields, special
        return True


class PlainRequests:
    """Reads the requests of one connection that are a head alone."""

    __slots__ = ("_authority", "_block", "_fields", "_host", "_parser")

    def __init__(self) -> None:
        self._parser = HttpRequestParser(_SILENT)
        self._fields = _Fields(REQUEST_READ, _REQUEST_PASSING)
        # The last head's fields as bytes, and its Host
        self._block = b""
        self._host = ""
        self._authority = b""

    def read(self, data: bytes, max_fields: int) -> Request | None:
        """The request, where `data` is one in HTTP/1.1 without a body, from its first to its last byte; else None."""
        end = data.find(b"\r\n")
        start = data[:end].split(b" ")
        method = METHODS.get(start[0])
        if method is None or len(start) != 3 or start[2] != b"HTTP/1.1":
            return None
        target = start[1].decode("latin-1")
        if target[:1] != "/" or "#" in target:
            return None
        block = data[end:]
        if block == self._block:
            # Those fields have been judged, so only the request line is left to be.
            if not self._judge(data[: end + 2] + b"\r\n"):
                return None
        elif not self._learn(block, data):
            return None
        fields = self._fields
        if len(fields.passing) + len(fields.special) > max_fields:
            return None
        request = Request(fields.passing, fields.special)
        request.method = method
        request.keep_alive = True
        request.target, request.target_text = start[1], target
        request.host, request.authority = self._host, self._authority
        request.path, mark, query = target.partition("?")
        if mark:
            request.query_string = query
        return request

    def _learn(self, block: bytes, data: bytes) -> bool:
        """Read fields that are not those of the last head; False where they are not plain."""
        self._block = b""
        if block.find(_BLANK) != len(block) - 4 or not self._fields.take(block[2:-4].split(b"\r\n")):
            return False
        special = self._fields.special
        authority = special.get(b"host", b"")
        if authority != self._authority or not authority:
            host = split_host(authority.decode("latin-1"))
            if host is None:
                self._fields.forget()
                return False
            self._host, self._authority = host, authority
        if (
            special.get(b"connection") not in _KEEPS
            or not _REQUEST_DECLINED.isdisjoint(special)
            or not self._judge(data)
        ):
            self._fields.forget()
            return False
        self._block = block
        return True

    def _judge(self, message: bytes) -> bool:
        try:
            self._parser.feed_data(message)
        except (HttpParserError, HttpParserUpgrade):
            self._parser = HttpRequestParser(_SILENT)
            return False
        return True


class PlainResponses:
    """Reads the responses of one connection whose body has a known length."""

    __slots__ = ("_fields", "_head", "_length", "_parser", "_status")

    def __init__(self) -> None:
        self._parser = HttpResponseParser(_SILENT)
        self._fields = _Fields(RESPONSE_READ, _RESPONSE_PASSING)
        # The last head as bytes, its status and the length of its body
        self._head = b""
        self._status = 0
        self._length = 0

    def read(self, data: bytes, max_fields: int) -> tuple[Response, bytes | memoryview] | None:
        """The response and what came of its body, where `data` begins with its head and goes no further than its body;
        else None."""
        end = data.find(_BLANK) + 4
        head = data[:end]
        if head != self._head and not self._learn(head, data):
            return None
        fields = self._fields
        if self._length < len(data) - end or len(fields.passing) > max_fields:
            return None
        response = Response(self._status, fields.passing, fields.special)
        response.length = self._length
        response.keep_alive = True
        return response, data[end:] if len(data) < _LONG else memoryview(data)[end:]

    def _learn(self, head: bytes, data: bytes) -> bool:
        """Read a head that is not the last one again; False where the message is not plain."""
        self._head = b""
        if len(head) < 17 or not head.startswith(b"HTTP/1.1 "):
            return False
        start, *lines = head[:-4].split(b"\r\n")
        status = start[9:12]
        if not status.isdigit() or status < b"200" or status in {b"204", b"304"} or not self._fields.take(lines):
            return False
        special = self._fields.special
        length = special.get(b"content-length", b"")
        if (
            special.get(b"connection") not in _KEEPS
            or not _RESPONSE_DECLINED.isdisjoint(special)
            or not length.isdigit()
            or len(length) > _MOST_DIGITS
            or int(length) < len(data) - len(head)
            or not self._judge(head, int(length))
        ):
            self._fields.forget()
            return False
        self._head, self._status, self._length = head, int(status), int(length)
        return True

    def _judge(self, head: bytes, length: int) -> bool:
        try:
            self._parser.feed_data(head)
        except (HttpParserError, HttpParserUpgrade):
            self._parser = HttpResponseParser(_SILENT)
            return False
        if length:
            # It waits for the body, which needs no judgement.
            self._parser = HttpResponseParser(_SILENT)
        return True


def _value(line: bytes, at: int) -> bytes:
    """The value of a line from behind its colon, without white space around it. Only spaces are dropped behind it, as
    the full reader does."""
    return line[at:].lstrip(b" \t").rstrip(b" ")
