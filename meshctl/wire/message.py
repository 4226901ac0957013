"""What a message's head says once it has been read: the values that readers make and the proxy decides by. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from meshctl.model.claims import NO_CLAIMS, claim_text
from meshctl.wire.fields import IDENTIFIERS, REQUEST_READ, Fields, pairs

CHUNKED: Final = -1
"""The `length` of a body that says itself where it ends."""
UNTIL_CLOSE: Final = -2
"""The `length` of a body that ends with the connection."""

_NO_NAMES: Final[frozenset[bytes]] = frozenset()
NO_FIELDS: Final[Fields] = []


class Malformed(Exception):  # noqa: N818 - what the peer sent is malformed
    """The peer sent what is not HTTP/1.1; `reason` is a code of `wire.reasons`, `detail` says what was wrong with
    it."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Request:
    """A request's head. `fields` are those that may pass; what the proxy reads itself is in `special`, by lower-case
    name, but for the identifiers, of which each request has its own. Both may be shared with other requests of the
    connection, so nobody changes them."""

    __slots__ = (
        "authority", "claims", "fields", "host", "is_bare", "is_http10", "is_marked", "is_normal", "keep_alive",
        "length", "method", "named", "path", "query_string", "request_id", "special", "target", "target_text",
        "told", "traceparent", "upgrade",
    )  # fmt: skip

    method: str
    target: bytes
    """As sent."""
    target_text: str
    """The same, decoded as Latin-1."""
    path: str
    """Of the target, as sent; the exchange normalises it before anything is decided by it."""
    is_bare: bool
    """Whether it is nothing but a head, and came alone on a connection that rested."""
    is_normal: bool
    """Whether it is known to need no normalising."""
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
    request_id: bytes | None
    """X-Request-Id as sent, if it was."""
    traceparent: bytes | None
    """The W3C trace context as sent, if it was."""
    told: tuple[str, str | None]
    """What `said` was last asked, and its answer. Set once it was."""
    claims: Mapping[str, object]
    """What is known of who sent it. Set where that was asked, and nowhere else."""

    def __init__(self, fields: Fields, special: dict[bytes, bytes]) -> None:
        self.fields = fields
        self.special = special
        self.query_string = None
        self.is_bare = False
        self.is_normal = False
        self.is_http10 = False
        self.is_marked = False
        self.length = 0
        self.named = _NO_NAMES
        self.upgrade = b""
        self.request_id = None
        self.traceparent = None

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for a 100 before it sends its body (RFC 9110 §10.1.1)."""
        return b"expect" in self.special

    def head_size(self) -> int:
        """The bytes of the head as sent, but for white space."""
        fields = sum(map(len, self.fields)) + 2 * len(self.fields)
        ids = [len(name) + len(value) + 4 for name in IDENTIFIERS if (value := self._identifier(name)) is not None]
        special = sum(len(name) + len(value) + 4 for name, value in self.special.items())
        return len(self.target) + fields + special + sum(ids)

    def header(self, name: str) -> str | None:
        """The combined value of the header `name` (lower case), or None."""
        low = name.encode("latin-1")
        if low in IDENTIFIERS:
            found = self._identifier(low)
            return None if found is None else found.decode("latin-1")
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

    def every(self, name: str) -> list[str]:
        """The values of all query parameters of that name, decoded."""
        found = parse_qsl(self.query_string or "", keep_blank_values=True, max_num_fields=None)
        return [value for key, value in found if key == name]

    def cookie(self, name: str) -> str | None:
        """The value of the first cookie called `name`, or None (RFC 6265 §4.2)."""
        for pair in (self.header("cookie") or "").split(";"):
            key, mark, value = pair.strip().partition("=")
            if mark and key == name:
                return value.strip('"')
        return None

    def said(self, name: str) -> str | None:
        """What the version of an API is told by: "path", "header NAME", "query NAME", or "media_type", which is Accept
        and Content-Type on two lines; None where it is not there."""
        if name == "path":
            return self.path
        try:
            # Each version of an API asks.
            asked, value = self.told
            if asked == name:
                return value
        except AttributeError:
            pass
        kind, _, what = name.partition(" ")
        if kind == "media_type":
            taken, sent = self._field("accept"), self._field("content-type")
            value = None if taken is None and sent is None else f"{taken or ''}\n{sent or ''}"
        else:
            value = self._field(what) if kind == "header" else self.query(what)
        self.told = name, value
        return value

    def claim(self, name: str) -> str | None:
        """The value of a claim of who sent it, or None."""
        return claim_text(getattr(self, "claims", NO_CLAIMS), name)

    def _field(self, name: str) -> str | None:
        """The same as `header`, sooner found."""
        low = name.encode("latin-1")
        if low in IDENTIFIERS or low in REQUEST_READ:
            return self.header(name)
        mark = low + b":"
        size = len(mark)
        values = [line[size:].strip() for line in self.fields if line[:size].lower() == mark]
        return b", ".join(values).decode("latin-1") if values else None

    def _identifier(self, name: bytes) -> bytes | None:
        return self.request_id if name == b"x-request-id" else self.traceparent


class Response:
    """A response's head. `length` is -1 when the body is chunked, -2 when it ends with the connection. `fields` and
    `special` may be shared with other responses, so nobody changes them."""

    __slots__ = (
        "block", "edited", "edited_by", "fields", "has_body", "is_undated", "keep_alive", "length", "named", "special",
        "status", "upgrade",
    )  # fmt: skip

    block: bytes
    """The head as HTTP/1.1 says it to a client, up to and with Content-Length, where it is known; else b""."""

    is_undated: bool
    """Whether an endpoint sent it without a Date."""

    def __init__(self, status: int, fields: Fields, special: dict[bytes, bytes]) -> None:
        self.is_undated = False
        self.status = status
        self.fields = fields
        self.special = special
        self.block = b""
        self.edited: Fields = fields
        self.edited_by: object = None
        """Whose edits `edited` has: those of the route by which it was last passed on."""
        self.named = _NO_NAMES
        self.length = 0
        self.has_body = True
        self.keep_alive = False
        self.upgrade = b""
