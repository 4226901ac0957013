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
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, HttpResponseParser

from meshctl.wire.fields import CRLF, MEMBER_RESPONSE_READ, REQUEST_READ, RESPONSE_READ, is_dated
from meshctl.wire.last_fields import LastFields
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
# How a head ends that comes from a proxy of ours: what differs with every request stands last.
_IDENTIFIED: Final = re.compile(rb"\r\nX-Request-Id: ([!-~]*)\r\ntraceparent: ([!-~]*)\r\n\r\n").fullmatch
_ID_LINE: Final = b"\r\nX-Request-Id: "
_MOST_DIGITS: Final = 18
"""Of a length: longer ones may not fit in 63 bits."""
_LONG: Final = 65_536
"""Bytes from which a body is not copied to be had without its head."""

_LONGEST: Final = 8_192
"""Of the heads that are kept, so that ten thousand connections that rest do not keep a gigabyte of them. Longer ones
are read by the full reader, which keeps nothing."""

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
_MEMBER_PASSING: Final[set[bytes]] = set()


class PlainRequests:
    """Reads the requests of one connection that are a head alone."""

    __slots__ = ("_authority", "_block", "_fields", "_host", "_parser", "_request_id", "_stem", "_traceparent")

    def __init__(self) -> None:
        self._parser = HttpRequestParser(_SILENT)
        self._fields = LastFields(REQUEST_READ, _REQUEST_PASSING)
        # The last head's fields as bytes, and its Host
        self._block = b""
        self._host = ""
        self._authority = b""
        self._request_id: bytes | None = None
        self._traceparent: bytes | None = None
        # The last head's fields up to the identifiers, where these stood last and nothing was special about them
        self._stem = b""

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
        if block != self._block and not self._renew(block) and not self._learn(block):
            return None
        fields = self._fields
        if len(fields.passing) + len(fields.special) + len(fields.ids) > max_fields:
            return None
        request = Request(fields.passing, fields.special)
        request.method = method
        request.request_id, request.traceparent = self._request_id, self._traceparent
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

    def _renew(self, block: bytes) -> bool:
        """Read fields that differ from those of the last head in the identifiers alone, which stand last."""
        if not self._stem or not block.startswith(self._stem):
            return False
        found = _IDENTIFIED(block, len(self._stem))
        if found is None:
            return False
        # The fields keep the identifiers of the head that was read whole: only whether there are any counts there.
        self._request_id, self._traceparent = found.groups()
        self._block = block
        return True

    def _learn(self, block: bytes) -> bool:
        """Read fields that are not those of the last head; False where they are not plain."""
        self._block = self._stem = b""
        if len(block) > _LONGEST or not block.endswith(_BLANK):
            return False
        fields = self._fields
        lines = block[2:-4].split(b"\r\n")
        is_judged = fields.amend(lines)
        if (is_judged or fields.sort(lines)) and self._is_plain() and (is_judged or self._judge(block)):
            self._block = block
            self._request_id, self._traceparent = fields.ids.get(b"x-request-id"), fields.ids.get(b"traceparent")
            at = block.rfind(_ID_LINE)
            if at >= 0 and _IDENTIFIED(block, at):
                self._stem = block[:at]
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

    def __init__(self, max_fields: int, *, is_member: bool = False) -> None:
        """`is_member` where a proxy of the mesh is read."""
        self._max_fields = max_fields
        self._parser = HttpResponseParser(_SILENT)
        read, passing = (MEMBER_RESPONSE_READ, _MEMBER_PASSING) if is_member else (RESPONSE_READ, _RESPONSE_PASSING)
        self._fields = LastFields(read, passing)
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
        if len(head) > _LONGEST:
            return False
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
        # Where only values differ, the last head tells.
        response.is_undated = self._response.is_undated if is_judged else not is_dated(fields.passing)
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
