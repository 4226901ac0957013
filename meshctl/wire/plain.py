"""The short way for messages that come whole and plain, as nearly all do: one read, one head, nothing special about it.

Calling back for every field is most of what reading a head costs, and a connection says nearly the same fields again
with every message. So a head that lies in one read is split at its line ends, and what was made of its fields is kept
for the next message of the connection, which needs no look at them if they are the same bytes. llhttp judges every
field and every request line, without any callback. Whatever is not plain (a body to come, an upgrade, HTTP/1.0,
something behind it, anything llhttp refuses) is declined, and the full reader reads it from its first byte: nothing
here can decide differently, only sooner. A test holds both to the same result.
"""

from __future__ import annotations

from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, HttpResponseParser

from meshctl.wire.fields import MOST_NAMES, REQUEST_READ, RESPONSE_READ, Fields
from meshctl.wire.message import Request, Response
from meshctl.wire.target import split_host

METHODS: Final = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")}
LONGEST_NAME: Final = 128

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


class PlainRequests:
    """Reads the requests of one connection that are a head alone."""

    __slots__ = ("_authority", "_block", "_fields", "_host", "_parser", "_special")

    def __init__(self) -> None:
        self._parser = HttpRequestParser(_SILENT)
        # The last head's fields, as bytes and as what they mean
        self._block = b""
        self._fields: Fields = []
        self._special: dict[bytes, bytes] = {}
        self._host = ""
        self._authority = b""

    def read(self, data: bytes, max_fields: int) -> Request | None:
        """The request, where `data` is one in HTTP/1.1 without a body, from its first to its last byte; else None."""
        end = data.find(b"\r\n")
        start = data[:end].split(b" ")
        method = METHODS.get(start[0])
        if method is None or len(start) != 3 or start[2] != b"HTTP/1.1":
            return None
        block = data[end:]
        if block != self._block and not self._learn(block):
            return None
        target = start[1].decode("latin-1")
        if target[:1] != "/" or "#" in target or len(self._fields) + len(self._special) > max_fields:
            return None
        if not self._judge(data[: end + 2] + b"\r\n"):
            return None
        request = Request(self._fields, self._special)
        request.method = method
        request.keep_alive = True
        request.target, request.target_text = start[1], target
        request.host, request.authority = self._host, self._authority
        request.path, mark, query = target.partition("?")
        if mark:
            request.query_string = query
        return request

    def _learn(self, block: bytes) -> bool:
        """Read fields that are not those of the last head; False where they are not plain."""
        if block.find(_BLANK) != len(block) - 4:
            return False
        found = _sort(block[2:-4].split(b"\r\n"), REQUEST_READ, _REQUEST_PASSING)
        if found is None:
            return False
        fields, special = found
        if special.get(b"connection") not in _KEEPS or not _REQUEST_DECLINED.isdisjoint(special):
            return False
        authority = special.get(b"host", b"")
        host = split_host(authority.decode("latin-1"))
        if host is None or not self._judge(b"GET / HTTP/1.1" + block):
            return False
        self._block, self._fields, self._special, self._host, self._authority = block, fields, special, host, authority
        return True

    def _judge(self, message: bytes) -> bool:
        try:
            self._parser.feed_data(message)
        except (HttpParserError, HttpParserUpgrade):
            self._parser = HttpRequestParser(_SILENT)
            return False
        return True


class PlainResponses:
    """Reads the responses of one connection that come with all of a body of known length."""

    __slots__ = ("_fields", "_head", "_length", "_parser", "_special", "_status")

    def __init__(self) -> None:
        self._parser = HttpResponseParser(_SILENT)
        # The last head, as bytes and as what it means
        self._head = b""
        self._status = 0
        self._length = 0
        self._fields: Fields = []
        self._special: dict[bytes, bytes] = {}

    def read(self, data: bytes, max_fields: int) -> tuple[Response, bytes] | None:
        """The response and its body, where `data` is one from its first to its last byte; else None."""
        end = data.find(_BLANK) + 4
        head = data[:end]
        if head != self._head and not self._learn(head, data):
            return None
        if self._length != len(data) - end or len(self._fields) > max_fields:
            return None
        response = Response(self._status, self._fields, self._special)
        response.length = self._length
        response.keep_alive = True
        return response, data[end:]

    def _learn(self, head: bytes, data: bytes) -> bool:
        """Read a head that is not the last one again; False where the message is not plain."""
        if len(head) < 17 or not head.startswith(b"HTTP/1.1 "):
            return False
        start, *lines = head[:-4].split(b"\r\n")
        found = _sort(lines, RESPONSE_READ, _RESPONSE_PASSING)
        if found is None:
            return False
        fields, special = found
        status, length = start[9:12], special.get(b"content-length", b"")
        if special.get(b"connection") not in _KEEPS or not _RESPONSE_DECLINED.isdisjoint(special):
            return False
        if not status.isdigit() or status < b"200" or status in {b"204", b"304"}:
            return False
        if not length.isdigit() or int(length) != len(data) - len(head) or not self._judge(data):
            return False
        self._head, self._status, self._length, self._fields, self._special = (
            head,
            int(status),
            int(length),
            fields,
            special,
        )
        return True

    def _judge(self, message: bytes) -> bool:
        try:
            self._parser.feed_data(message)
        except (HttpParserError, HttpParserUpgrade):
            self._parser = HttpResponseParser(_SILENT)
            return False
        return True


def _sort(lines: list[bytes], read: frozenset[bytes], passing: set[bytes]) -> tuple[Fields, dict[bytes, bytes]] | None:
    """The lines that pass, and the values of the others by lower-case name; None where one of those repeats."""
    fields: Fields = []
    special: dict[bytes, bytes] = {}
    for line in lines:
        name = line[: line.find(b":")]
        if name in passing:
            fields.append(line)
            continue
        low = name.lower()
        if low not in read:
            if len(passing) < MOST_NAMES and len(name) <= LONGEST_NAME:
                passing.add(name)
            fields.append(line)
        elif low in special:
            return None
        else:
            special[low] = line[len(name) + 1 :].lstrip(b" \t").rstrip(b" ")
    return fields, special
