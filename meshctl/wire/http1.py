"""HTTP/1.1 heads read by llhttp in its strict mode, and what llhttp leaves to its user: framing rules, Host, limits.

Sans-I/O: a reader is fed bytes and calls its own methods `on_request` / `on_response`, `on_body` and `on_end`; whoever
uses it subclasses it (the proxy's two Protocols) or records the calls (the tests). The only exception is `Malformed`:
the peer broke the protocol. httptools calls `on_url`, `on_header`, `on_headers_complete`, `on_body`,
`on_message_complete`.
"""

from __future__ import annotations

from typing import Final, NoReturn
from urllib.parse import parse_qsl

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
    HttpResponseParser,
)

from meshctl.wire.fields import REQUEST_READ, RESPONSE_READ, Fields, collector, named_by_connection, pairs, tokens
from meshctl.wire.target import split_absolute, split_host

METHODS: Final = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")}
IDEMPOTENT: Final = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"))
"""Methods that may be sent twice with the effect of once (RFC 9110 §9.2.2)."""

_NO_NAMES: Final[frozenset[bytes]] = frozenset()
_NO_FIELDS: Final[Fields] = []
_VERSION_11: Final = b" HTTP/1.1\r\n"
_STATUS_11: Final = b"HTTP/1.1 "
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


class Malformed(Exception):  # noqa: N818 - what the peer sent is malformed
    """The peer sent what is not HTTP/1.1; `reason` is a code of `wire.reasons`, `detail` says what was wrong with
    it."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


# Spellings of field names that pass, learnt from traffic; shared by all connections of a process.
_REQUEST_PASSING: Final[set[bytes]] = set()
_RESPONSE_PASSING: Final[set[bytes]] = set()


class Request:
    """A request's head. `fields` are those that may pass; what the proxy reads itself is in `special`, by lower-case
    name."""

    __slots__ = (
        "authority", "fields", "host", "is_http10", "is_marked", "keep_alive", "length", "method", "named", "path",
        "query_string", "special", "target", "target_text", "upgrade",
    )  # fmt: skip

    method: str
    target: bytes
    """As sent."""
    target_text: str
    """The same, decoded as Latin-1."""
    path: str
    """Of the target, as sent; the exchange normalises it before anything is decided by it."""
    query_string: str | None
    """What follows the "?", as sent; None without one."""
    host: str
    """In lower case, without port; "" where an HTTP/1.0 client sent none."""
    authority: bytes
    """The Host as sent, port included."""
    is_http10: bool
    keep_alive: bool
    length: int
    """Content-Length; 0 without a body, -1 when the body is chunked."""
    is_marked: bool
    """Whether its head says how the connection or the body is to be treated, beyond keep-alive."""
    named: frozenset[bytes]
    """Field names the Connection field asks to drop."""
    upgrade: bytes
    """The protocol asked for, b"" for none that may pass."""

    def __init__(self, fields: Fields, special: dict[bytes, bytes]) -> None:
        self.fields = fields
        self.special = special
        self.query_string = None
        self.is_http10 = False
        self.is_marked = False
        self.length = 0
        self.named = _NO_NAMES
        self.upgrade = b""

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for a 100 before it sends its body (RFC 9110 §10.1.1)."""
        return b"expect" in self.special

    def header(self, name: str) -> str | None:
        """The combined value of the header `name` (lower case), or None."""
        low = name.encode("latin-1")
        if low in REQUEST_READ:
            found = self.authority if low == b"host" else self.special.get(low)
            return None if found is None else found.decode("latin-1")
        values = [value for key, value in pairs(self.fields) if key.lower() == low]
        return b", ".join(values).decode("latin-1") if values else None

    def query(self, name: str) -> str | None:
        """The first value of the query parameter `name`, decoded; "" for one without a value; None where it is not
        there."""
        for key, value in parse_qsl(self.query_string or "", keep_blank_values=True, max_num_fields=None):
            if key == name:
                return value
        return None

    def cookie(self, name: str) -> str | None:
        """The value of the first cookie called `name`, or None (RFC 6265 §4.2)."""
        for pair in (self.header("cookie") or "").split(";"):
            key, mark, value = pair.strip().partition("=")
            if mark and key == name:
                return value.strip('"')
        return None


class Response:
    """A response's head. `length` is -1 when the body is chunked, -2 when it ends with the connection."""

    __slots__ = ("fields", "has_body", "keep_alive", "length", "named", "special", "status", "upgrade")

    def __init__(self, status: int, fields: Fields, special: dict[bytes, bytes]) -> None:
        self.status = status
        self.fields = fields
        self.special = special
        self.named = _NO_NAMES
        self.length = 0
        self.has_body = True
        self.keep_alive = False
        self.upgrade = b""


CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2


class RequestReader:
    """Reads requests. Subclasses take `on_request(request)`, `on_body(data)` and `on_message_complete()`, which must
    call `take_trailers()`."""

    max_fields = 100

    def __init__(self) -> None:
        self._url = b""
        self._chunk = b""
        """What is being read, until the first head in it is complete."""
        self._fields: Fields = []
        self._special: dict[bytes, bytes] = {}
        self._malformed: Malformed | None = None
        self._skips_head = False
        self.on_header = collector(self._fields, self._special, REQUEST_READ, _REQUEST_PASSING, self._repeated)
        self._parser = HttpRequestParser(self)

    def on_request(self, request: Request) -> None:
        """A head is complete and valid."""
        raise NotImplementedError  # pragma: no cover - an interface

    def feed(self, data: bytes) -> bytes | None:
        """Read `data`. Returns what follows an upgrade request (RFC 9110 §7.8), else None. Raises Malformed."""
        self._chunk = data
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
            return _NO_FIELDS
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
        raw = parser.get_method()
        # The parser makes its version a text each time, which costs more than the head of a usual request shows at
        # sight.
        if not self._chunk.startswith(_VERSION_11, len(raw) + 1 + len(url)):
            self._read_version(request, parser.get_http_version())
        self._chunk = b""
        request.method = METHODS.get(raw) or self._other_method(raw)
        request.keep_alive = parser.should_keep_alive()
        self._read_target(request, url)
        if b"content-length" in special or b"transfer-encoding" in special:
            request.is_marked = True
            self._read_framing(request)
        if b"connection" in special:
            self._read_connection(request)
        if b"expect" in special and special[b"expect"].lower() != b"100-continue":
            self._fail("bad_request", "the only expectation known is 100-continue")
        self.on_request(request)

    def _read_version(self, request: Request, version: str) -> None:
        if version == "1.0":
            request.is_http10 = True
        elif version != "1.1":
            self._fail("version_unsupported", f"HTTP/{version} is not spoken here")

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


class ResponseReader:
    """Reads responses. Subclasses take `on_response(response)`, `on_informational(response)`, `on_body(data)` and
    `on_message_complete()`, and set `answers_head` when the request was HEAD."""

    max_fields = 200

    def __init__(self) -> None:
        self._chunk = b""
        self._fields: Fields = []
        self._special: dict[bytes, bytes] = {}
        self._malformed: Malformed | None = None
        self.on_header = collector(self._fields, self._special, RESPONSE_READ, _RESPONSE_PASSING, self._repeated)
        self._parser = HttpResponseParser(self)
        self.answers_head = False

    def on_response(self, response: Response) -> None:
        """A final head is complete and valid."""
        raise NotImplementedError  # pragma: no cover - an interface

    def on_informational(self, response: Response) -> None:
        """An interim head (1xx other than 101) is complete."""
        raise NotImplementedError  # pragma: no cover - an interface

    def feed(self, data: bytes) -> bytes | None:
        """Read `data`. Returns what follows a 101 response's head, else None. Raises Malformed."""
        self._chunk = data
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            return data[upgrade.args[0] :]
        except HttpParserCallbackError:
            if self._malformed is None:
                raise  # A defect of ours, not of the peer.
            raise self._malformed from None
        except HttpParserError as error:
            raise Malformed("upstream_protocol", str(error).lower()) from None
        return None

    def renew_parser(self) -> None:
        """Forget a message in the middle: the rest of its body is read without the parser, or it has none (HEAD)."""
        self._parser = HttpResponseParser(self)

    def take_trailers(self) -> Fields:
        """The trailer fields of the message that just ended."""
        if self._special:
            self._special.clear()
        fields = self._fields
        if not fields:
            return _NO_FIELDS
        trailers = fields.copy()
        fields.clear()
        return trailers

    def _repeated(self, name: bytes, value: bytes) -> None:
        self._special[name] += b", " + value

    def on_headers_complete(self) -> None:
        parser = self._parser
        status = parser.get_status_code()
        special = self._special.copy()
        response = Response(status, self._fields.copy(), special)
        self._fields.clear()
        self._special.clear()
        if len(response.fields) > self.max_fields:
            self._fail(f"more than {self.max_fields} header fields")
        version = "1.1" if self._chunk.startswith(_STATUS_11) else parser.get_http_version()
        self._chunk = b""
        if version not in {"1.1", "1.0"} or status < 100 or status > 999:
            self._fail(f"HTTP/{version} with status {status} is not an answer to HTTP/1.1")
        if b"connection" in special:
            self._read_connection(response)
        if status < 200:
            if status != 101:
                self.on_informational(response)
                return
            response.has_body = False
            response.upgrade = special.get(b"upgrade", b"")
        else:
            response.keep_alive = parser.should_keep_alive()
            self._read_framing(response, version)
        self.on_response(response)

    def _read_framing(self, response: Response, version: str) -> None:
        """Decide where the body ends (RFC 9112 §6.3)."""
        special = response.special
        if b"transfer-encoding" in special:
            if special[b"transfer-encoding"].rstrip(b" ").lower() != b"chunked" or version == "1.0":
                self._fail("the only transfer coding read here is chunked, in HTTP/1.1")
            response.length = CHUNKED
        elif b"content-length" in special:
            response.length = int(special[b"content-length"])
        else:
            response.length = UNTIL_CLOSE
        if self.answers_head or response.status in {204, 304}:
            response.has_body = False
            # A length tells what a GET would have brought; without one nothing follows, so nothing is waited for.
            response.keep_alive = response.keep_alive or (
                response.length == UNTIL_CLOSE and not _closes(special, version)
            )
        elif response.length == UNTIL_CLOSE:
            response.keep_alive = False

    def _read_connection(self, response: Response) -> None:
        value = response.special[b"connection"]
        if value not in {b"keep-alive", b"close"}:
            response.named = named_by_connection(value)

    def _fail(self, detail: str) -> NoReturn:
        self._malformed = Malformed("upstream_protocol", detail)
        raise self._malformed


def _passing_upgrade(value: bytes | None) -> bytes:
    """The Upgrade field's value where every protocol in it may pass, else b""."""
    if not value or _UPGRADES_REFUSED & set(tokens(value)):
        return b""
    return value


def _closes(special: dict[bytes, bytes], version: str) -> bool:
    options = tokens(special.get(b"connection", b""))
    return b"close" in options or (version == "1.0" and b"keep-alive" not in options)
