"""Header fields: which never pass a proxy, which a proxy reads itself, and how a list of them becomes bytes.

Fields are triples (lower-case name, name as sent, value). Pure; knows nothing of connections.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

Field = tuple[bytes, bytes, bytes]

HOP_BY_HOP: Final = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    )
)
"""Fields that concern one connection only and never pass (RFC 9110 §7.6.1, RFC 9113 §8.2.2)."""

REQUEST_READ: Final = HOP_BY_HOP | {
    b"host",
    b"content-length",
    b"expect",
    b"via",
    b"x-request-id",
    b"traceparent",
    b"x-forwarded-for",
    b"x-forwarded-proto",
    b"x-forwarded-host",
    b"forwarded",
    b"user-agent",
}
"""Request fields the proxy reads and writes anew; everything else passes untouched."""

RESPONSE_READ: Final = HOP_BY_HOP | {b"content-length", b"x-request-id"}
"""Response fields the proxy reads and writes anew."""

NEVER_NAMED: Final = frozenset((b"host", b"content-length", b"transfer-encoding", b"content-type", b"authorization", b"cookie"))
"""What a Connection field may not strip from a message: a sender that names them is trying to hide them from us or the next hop."""

_TRAILERS_FORBIDDEN: Final = HOP_BY_HOP | {
    b"host",
    b"content-length",
    b"content-encoding",
    b"content-type",
    b"content-range",
    b"authorization",
    b"set-cookie",
    b"cookie",
    b"cache-control",
    b"expect",
    b"x-forwarded-for",
    b"x-forwarded-proto",
    b"x-forwarded-host",
    b"forwarded",
}


def tokens(value: bytes) -> list[bytes]:
    """The lower-case members of a comma-separated list: b"Close, X-a" → [b"close", b"x-a"] (RFC 9110 §5.6.1)."""
    return [token for part in value.lower().split(b",") if (token := part.strip(b" \t"))]


def named_by_connection(value: bytes) -> frozenset[bytes]:
    """The field names a Connection field asks to drop at this hop (RFC 9110 §7.6.1)."""
    return frozenset(tokens(value)) - NEVER_NAMED


def encode_fields(fields: Iterable[Field]) -> bytes:
    """The fields as header lines, each ended by CRLF."""
    return b"".join([b"%b: %b\r\n" % (name, value) for _, name, value in fields])


def passing_trailers(fields: Iterable[Field]) -> list[Field]:
    """The trailer fields that may pass: none that would frame, route or authorise a message (RFC 9110 §6.5.1)."""
    return [field for field in fields if field[0] not in _TRAILERS_FORBIDDEN]


def make(name: str, value: str) -> Field:
    """A field from configuration text, which has been checked for control characters."""
    raw = name.encode("latin-1")
    return (raw.lower(), raw, value.encode("latin-1"))
