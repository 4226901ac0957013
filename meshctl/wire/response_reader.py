"""HTTP/1.1 response heads, read by llhttp in its strict mode, and what llhttp leaves to its user: where the body ends.

Sans-I/O: the reader is fed bytes and calls its own methods; whoever uses it subclasses it (the proxy's Protocol) or
records the calls (the tests). The only exception is `Malformed`: the peer broke the protocol. httptools calls those
methods that begin with `on_` and have no docstring.
"""

from __future__ import annotations

from typing import Final, NoReturn

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpResponseParser

from meshctl.wire.fields import (
    MEMBER_RESPONSE_READ,
    RESPONSE_READ,
    Fields,
    collector,
    is_dated,
    named_by_connection,
    tokens,
    unheard,
)
from meshctl.wire.message import CHUNKED, NO_FIELDS, UNTIL_CLOSE, Malformed, Response

# Spellings of field names that pass, learnt from traffic; shared by all connections of a process.
_PASSING: Final[set[bytes]] = set()
_MEMBER_PASSING: Final[set[bytes]] = set()

_ENDED: Final = HttpResponseParser(object())
"""Calls nobody."""

MOST_INTERIM: Final = 256
"""Interim answers (1xx) before an answer: who works for hours may say so now and then, but not without end."""


class ResponseReader:
    """Reads responses. Subclasses take `on_response(response)`, `on_informational(response)`, `on_body(data)` and
    `on_message_complete()`, and set `answers_head` when the request was HEAD."""

    max_fields = 200

    def __init__(self, *, is_member: bool = False) -> None:
        """`is_member` where a proxy of the mesh is read."""
        self._fields: Fields = []
        self._special: dict[bytes, bytes] = {}
        self._malformed: Malformed | None = None
        self._interim = 0
        read, passing = (MEMBER_RESPONSE_READ, _MEMBER_PASSING) if is_member else (RESPONSE_READ, _PASSING)
        self.on_header = collector(self._fields, self._special, read, passing, self._repeated)
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

    def end_reading(self) -> None:
        """Nothing more will come. The parser calls its reader, which has the parser: both would stay until a collection
        finds them, and keep a whole connection with its buffers."""
        self._parser = _ENDED
        self.on_header = unheard

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

    def _repeated(self, name: bytes, value: bytes) -> None:
        self._special[name] += b", " + value

    def on_headers_complete(self) -> None:
        parser = self._parser
        status = parser.get_status_code()
        special = self._special.copy()
        # The client has the identifier that this proxy followed the request by.
        special.pop(b"x-request-id", None)
        response = Response(status, self._fields.copy(), special)
        self._fields.clear()
        self._special.clear()
        if len(response.fields) > self.max_fields:
            self._fail(f"more than {self.max_fields} header fields")
        version = parser.get_http_version()
        if version not in {"1.1", "1.0"} or status < 100 or status > 999:
            self._fail(f"HTTP/{version} with status {status} is not an answer to HTTP/1.1")
        if b"connection" in special:
            self._read_connection(response)
        if status < 200:
            if status != 101:
                # It has no content (RFC 9112 §6.3), but llhttp would read one for a status that it does not know.
                if b"transfer-encoding" in special or special.get(b"content-length", b"").strip(b"0"):
                    self._fail(f"an interim answer ({status}) with content")
                self._interim += 1
                if self._interim > MOST_INTERIM:
                    self._fail(f"more than {MOST_INTERIM} interim answers")
                self.on_informational(response)
                return
            response.has_body = False
            response.upgrade = special.get(b"upgrade", b"")
        else:
            self._interim = 0
            response.keep_alive = parser.should_keep_alive()
            response.is_undated = not is_dated(response.fields)
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


def _closes(special: dict[bytes, bytes], version: str) -> bool:
    options = tokens(special.get(b"connection", b""))
    return b"close" in options or (version == "1.0" and b"keep-alive" not in options)
