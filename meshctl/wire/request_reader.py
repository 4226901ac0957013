"""HTTP/1.1 request heads, read by llhttp in its strict mode, and what llhttp leaves to its user: framing, Host, limits.
targets.

Sans-I/O: the reader is fed bytes and calls its own methods; whoever uses it subclasses it (the proxy's Protocol) or
records the calls (the tests). The only exception is `Malformed`: the peer broke the protocol. httptools calls those
methods that begin with `on_` and have no docstring.
"""

from __future__ import annotations

from typing import Final, NoReturn

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
)

from meshctl.wire.fields import REQUEST_READ, Fields, collector, named_by_connection, tokens, unheard
from meshctl.wire.message import CHUNKED, NO_FIELDS, Malformed, Request
from meshctl.wire.target import split_absolute, split_host

METHODS: Final = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")}

_SINGLE: Final = frozenset((b"host", b"content-length", b"transfer-encoding"))
_UPGRADES_REFUSED: Final = frozenset((b"h2c", b"tls/1.0", b"http/2.0"))
# An h2c upgrade that passed a proxy would be a tunnel around every rule it enforces; TLS is the listener's business.
_RTSP_METHODS: Final = frozenset(
    (b"ANNOUNCE", b"DESCRIBE", b"FLUSH", b"GET_PARAMETER", b"PAUSE", b"PLAY", b"RECORD", b"REDIRECT", b"SET_PARAMETER",
     b"SETUP", b"SOURCE", b"TEARDOWN")
)  # fmt: skip
"""llhttp reads these protocols' requests, too."""
_OTHER_VERSIONS: Final = {"invalid http version": "version_unsupported", "pause on pri/upgrade": "version_unsupported"}
"""What llhttp says of versions it does not know, and of the preface of HTTP/2."""
_LONGEST_BODY: Final = 2**63 - 1
"""Servers that count in signed 64 bits would read a longer one as something else."""

# Spellings of field names that pass, learnt from traffic; shared by all connections of a process.
_PASSING: Final[set[bytes]] = set()

_ENDED: Final = HttpRequestParser(object())
"""Calls nobody."""


class RequestReader:
    """Reads requests. Subclasses take `on_request(request)`, `on_body(data)` and `on_message_complete()`, which must
    call `take_trailers()`."""

    max_fields = 100

    def __init__(self) -> None:
        self._url = b""
        self._fields: Fields = []
        self._special: dict[bytes, bytes] = {}
        self._malformed: Malformed | None = None
        self._skips_head = False
        self.on_header = collector(self._fields, self._special, REQUEST_READ, _PASSING, self._repeated)
        self._parser = HttpRequestParser(self)

    def on_request(self, request: Request) -> None:
        """A head is complete and valid."""
        raise NotImplementedError  # pragma: no cover - an interface

    def feed(self, data: bytes) -> bytes | None:
        """Read `data`. Returns what follows an upgrade request (RFC 9110 §7.8), else None. Raises Malformed."""
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            return data[upgrade.args[0] :]
        except HttpParserInvalidMethodError:
            raise Malformed("method_unknown", "the method is not registered") from None
        except HttpParserCallbackError:
            if self._malformed is None:
                raise  # A defect of ours, not of the peer.
            raise self._malformed from None
        except HttpParserError as error:
            detail = str(error).lower()
            raise Malformed(_OTHER_VERSIONS.get(detail, "bad_request"), detail) from None
        return None

    def renew_parser(self) -> None:
        """Forget a message in the middle: the rest of its body was read without the parser."""
        self._parser = HttpRequestParser(self)

    def end_reading(self) -> None:
        """Nothing more will come. The parser calls its reader, which has the parser: both would stay until a collection
        finds them, and keep a whole connection with its buffers."""
        self._parser = _ENDED
        self.on_header = unheard

    def stops_at_upgrade(self, request: Request) -> bool:
        """Whether llhttp takes `request` for one that changes the protocol, and reads nothing after its head."""
        return bool(request.upgrade) or (request.length != 0 and self._parser.should_upgrade())

    def expect_body(self, request: Request) -> None:
        """Go on with the body of a request that asked for an upgrade in vain, which llhttp would not read."""
        self._parser = HttpRequestParser(self)
        self._skips_head = True
        framing = b"Transfer-Encoding: chunked" if request.length == CHUNKED else b"Content-Length: %d" % request.length
        self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % framing)

    def take_trailers(self) -> Fields:
        """The trailer fields of the message that just ended."""
        if self._special:
            self._special.clear()
        fields = self._fields
        if not fields:
            return NO_FIELDS
        trailers = fields.copy()
        fields.clear()
        return trailers

    def on_url(self, url: bytes) -> None:
        self._url += url

    def _repeated(self, name: bytes, value: bytes) -> None:
        if name in _SINGLE:
            self._fail("bad_host" if name == b"host" else "bad_request", f'the field "{name.decode()}" is given twice')
        self._special[name] += b", " + value

    def on_headers_complete(self) -> None:
        fields = self._fields
        special = self._special.copy()
        request = Request(fields.copy(), special)
        fields.clear()
        self._special.clear()
        url, self._url = self._url, b""
        if self._skips_head:
            self._skips_head = False
            return
        parser = self._parser
        if len(request.fields) + len(special) > self.max_fields:
            self._fail("head_too_large", f"more than {self.max_fields} header fields")
        request.request_id = special.pop(b"x-request-id", None)
        request.traceparent = special.pop(b"traceparent", None)
        raw = parser.get_method()
        # Asked for, not looked for in the bytes: a head that came in pieces could be made to look like another.
        version = parser.get_http_version()
        if version != "1.1":
            self._read_version(request, version)
        request.method = METHODS.get(raw) or self._other_method(raw)
        request.keep_alive = parser.should_keep_alive()
        self._read_target(request, url)
        if b"content-length" in special or b"transfer-encoding" in special:
            request.is_marked = True
            self._read_framing(request)
        if b"connection" in special:
            self._read_connection(request)
        if b"expect" in special and special[b"expect"].lower() != b"100-continue":
            self._fail("expectation_unknown", "the only expectation known is 100-continue")
        self.on_request(request)

    def _read_version(self, request: Request, version: str) -> None:
        if version != "1.0":
            self._fail("version_unsupported", f"HTTP/{version} is not spoken here")
        request.is_http10 = True

    def _other_method(self, raw: bytes) -> str:
        if raw == b"CONNECT":
            self._fail("method_unsupported", "CONNECT is not answered")
        if raw in _RTSP_METHODS:
            self._fail("method_unknown", "the method is not one of HTTP")
        return raw.decode("latin-1")

    def _read_target(self, request: Request, url: bytes) -> None:
        request.target = url
        target = request.target_text = url.decode("latin-1")
        host = request.special.get(b"host")
        if target[0] == "/":
            pass
        elif target != "*":
            absolute = split_absolute(target)
            if absolute is None:
                self._fail("bad_request", "the target is neither a path nor an http URL")
            # RFC 9112 §3.2.2: the target's authority replaces the Host, which must still have been there.
            authority, target = absolute
            if host is not None or request.is_http10:
                host = authority.encode("latin-1")
        elif request.method != "OPTIONS":
            self._fail("bad_request", 'the target "*" is for OPTIONS')
        if "#" in target:
            self._fail("bad_path", "a request target has no fragment")
        path, mark, query = target.partition("?")
        request.path = path
        if mark:
            request.query_string = query
        if host is None:
            if not request.is_http10:
                self._fail("bad_host", "the Host field is missing")
            request.host, request.authority = "", b""
            return
        name = split_host(host.decode("latin-1"))
        if name is None:
            self._fail("bad_host", "the Host field is not a host name with an optional port")
        request.host, request.authority = name, host

    def _read_framing(self, request: Request) -> None:
        # llhttp has already refused both together, more than one, and lengths that are no number.
        coding = request.special.get(b"transfer-encoding")
        if coding is None:
            request.length = int(request.special[b"content-length"])
            if request.length > _LONGEST_BODY:
                self._fail("bad_request", "content-length overflow")
            return
        if request.is_http10:
            self._fail("bad_request", "an HTTP/1.0 request has no transfer coding")
        # Not a tab: llhttp takes "chunked\t" for another coding, and one of us would be wrong about the body's end.
        if coding.rstrip(b" ").lower() != b"chunked":
            self._fail("coding_unsupported", "the only transfer coding read here is chunked")
        request.length = CHUNKED

    def _read_connection(self, request: Request) -> None:
        value = request.special[b"connection"]
        if value not in {b"keep-alive", b"close", b"Keep-Alive", b"Close"}:
            request.is_marked = True
            request.named = named_by_connection(value)
            if b"upgrade" in request.named and not request.length and not request.is_http10:
                request.upgrade = _passing_upgrade(request.special.get(b"upgrade"))

    def _fail(self, reason: str, detail: str) -> NoReturn:
        self._malformed = Malformed(reason, detail)
        raise self._malformed


def _passing_upgrade(value: bytes | None) -> bytes:
    """The Upgrade field's value where every protocol in it may pass, else b""."""
    if not value or _UPGRADES_REFUSED & set(tokens(value)):
        return b""
    return value


class _Heedless(RequestReader):
    """Reads for the refusals alone."""

    def on_request(self, request: Request) -> None:
        pass


def refused_method(method: str) -> str:
    """The reason for which requests of a method are refused before anything looks at them; "" where they are not."""
    if not method.replace("-", "").isalpha():
        return "method_unknown"
    try:
        _Heedless().feed(b"%b / HTTP/1.1\r\nHost: a\r\n\r\n" % method.encode())
    except Malformed as refusal:
        return refusal.reason
    return ""
