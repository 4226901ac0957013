"""The short way for messages that come whole and plain, as nearly all do: one read, one head, nothing special about it.

Calling back for every field is most of what reading a head costs, and a connection says nearly the same fields again
with every message. So a head that lies in one read is split at its line ends, and what was made of its fields is kept
for the next message of the connection, which needs no look at them if they are the same bytes. llhttp judges every
field and every request line, without any callback. Whatever is not plain (a request's body, an answer's whose length is
not known, an upgrade, HTTP/1.0, something behind the message, anything llhttp refuses) is declined, and the full reader
reads it from its first byte: nothing here can decide differently, only sooner. A test holds both to the same result.
"""

from __future__ import annotations

import re
from itertools import compress
from operator import ne
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, HttpResponseParser

from meshctl.wire.fields import CRLF, MOST_NAMES, REQUEST_READ, RESPONSE_READ, Fields
from meshctl.wire.message import Request, Response
from meshctl.wire.reasons import status_line
from meshctl.wire.target import split_host

METHODS: Final = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")}
# Octets of a target that llhttp accepts, but for what is rare (a fragment, what is not ASCII); those among them that
# need no normalising, wherever they stand.
_VISIBLE: Final = bytes(range(0x21, 0x7F)).replace(b"#", b"")
_NORMAL: Final = b"/?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~!$&'()*+,;=:@"
# A final answer's first line, without its end, as llhttp accepts it, but for what is rare.
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 ([2-9]\d\d)(?: [\t -~]*)?").fullmatch
# A field's value as llhttp accepts it, again without what is rare.
_PLAIN_VALUE: Final = re.compile(rb"[\t -~]*").fullmatch
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
_BODILESS: Final = frozenset((b"204", b"304"))
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

    def forget(self) -> None:
        """The head was none."""
        self._lines = []

    def amend(self, lines: list[bytes]) -> bool:
        """Read and judge the lines of a head that differs from the last one in a few values; False where it differs in
        more."""
        last = self._lines
        if not last or len(lines) != len(last):
            return False
        changed = [*compress(range(len(lines)), map(ne, lines, last))]
        if len(changed) > _MOST_CHANGED:
            return False
        passing, special = self.passing, self.special
        for index in changed:
            line, before, at = lines[index], last[index], self._at[index]
            colon = before.index(b":") + 1
            if not line.startswith(before[:colon]) or not _PLAIN_VALUE(line, colon):
                return False
            # A copy, because the last message may still be under way with the old one.
            if isinstance(at, int):
                passing = passing.copy() if passing is self.passing else passing
                passing[at] = line
            else:
                special = special.copy() if special is self.special else special
                special[at] = _value(line, colon)
        self._lines, self.passing, self.special = lines, passing, special
        return True

    def sort(self, lines: list[bytes]) -> bool:
        """Read a head from scratch, and leave it to others to judge it; False where a field that the proxy reads
        repeats, or where lines are more than one head."""
        if b"" in lines:
            return False
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
        if method is None or len(start) != 3 or start[2] != b"HTTP/1.1" or not start[1].startswith(b"/"):
            return None
        target = start[1]
        odd = target.translate(None, _NORMAL)
        if odd and odd.translate(None, _VISIBLE):
            return None
        block = data[end:]
        if block != self._block and not self._learn(block):
            return None
        fields = self._fields
        if len(fields.passing) + len(fields.special) > max_fields:
            return None
        request = Request(fields.passing, fields.special)
        request.method = method
        request.keep_alive = True
        request.target = target
        request.is_normal = not odd
        request.is_bare = True
        text = request.target_text = target.decode()
        request.host, request.authority = self._host, self._authority
        request.path, mark, query = text.partition("?")
        if mark:
            request.query_string = query
        return request

    def _learn(self, block: bytes) -> bool:
        """Read fields that are not those of the last head; False where they are not plain."""
        self._block = b""
        if not block.endswith(_BLANK):
            return False
        fields = self._fields
        lines = block[2:-4].split(b"\r\n")
        is_judged = fields.amend(lines)
        if (is_judged or fields.sort(lines)) and self._is_plain() and (is_judged or self._judge(block)):
            self._block = block
            return True
        fields.forget()
        return False

    def _is_plain(self) -> bool:
        special = self._fields.special
        authority = special.get(b"host", b"")
        if authority != self._authority or not authority:
            host = split_host(authority.decode("latin-1"))
            if host is None:
                return False
            self._host, self._authority = host, authority
        return special.get(b"connection") in _KEEPS and _REQUEST_DECLINED.isdisjoint(special)

    def _judge(self, block: bytes) -> bool:
        try:
            self._parser.feed_data(b"GET / HTTP/1.1" + block)
        except (HttpParserError, HttpParserUpgrade):
            self._parser = HttpRequestParser(_SILENT)
            return False
        return True


class PlainResponses:
    """Reads the responses of one connection whose body has a known length."""

    __slots__ = ("_fields", "_head", "_max_fields", "_parser", "_response")

    def __init__(self, max_fields: int) -> None:
        self._max_fields = max_fields
        self._parser = HttpResponseParser(_SILENT)
        self._fields = _Fields(RESPONSE_READ, _RESPONSE_PASSING)
        # The last head as bytes, and what it says
        self._head = b""
        self._response = Response(0, [], {})

    def read(self, data: bytes) -> tuple[Response, bytes | memoryview] | None:
        """The response and what came of its body, where `data` begins with its head and goes no further than its body;
        else None. The same response is given again for the same head."""
        end = data.find(_BLANK) + 4
        head = data[:end]
        if head != self._head and not self._learn(head):
            return None
        response = self._response
        if response.length < len(data) - end:
            return None
        return response, data[end:] if len(data) < _LONG else memoryview(data)[end:]

    def _learn(self, head: bytes) -> bool:
        """Read a head that is not the last one again; False where it is not plain."""
        self._head = b""
        fields = self._fields
        line, *lines = head[:-4].split(b"\r\n")
        start = _STATUS_LINE(line)
        is_judged = fields.amend(lines)
        if (
            start is None
            or start[1] in _BODILESS
            or len(lines) > self._max_fields
            or not (is_judged or fields.sort(lines))
            or not _is_plain_answer(fields.special)
            or not (is_judged or self._judge(head))
        ):
            fields.forget()
            return False
        length = fields.special[b"content-length"]
        response = Response(int(start[1]), fields.passing, fields.special)
        response.length = int(length)
        response.keep_alive = True
        response.block = CRLF.join([status_line(response.status), *fields.passing, b"Content-Length: " + length])
        self._head, self._response = head, response
        return True

    def _judge(self, head: bytes) -> bool:
        # Of a body it would wait for, so the next head needs another judge.
        parser, self._parser = self._parser, HttpResponseParser(_SILENT)
        try:
            parser.feed_data(head)
        except (HttpParserError, HttpParserUpgrade):
            return False
        return True


def _is_plain_answer(special: dict[bytes, bytes]) -> bool:
    length = special.get(b"content-length", b"")
    return (
        special.get(b"connection") in _KEEPS
        and _RESPONSE_DECLINED.isdisjoint(special)
        and length.isdigit()
        and len(length) <= _MOST_DIGITS
    )


def _value(line: bytes, at: int) -> bytes:
    """The value of a line from behind its colon, without white space around it. Only spaces are dropped behind it, as
    the full reader does."""
    return line[at:].lstrip(b" \t").rstrip(b" ")
