"""Header fields: which never pass a proxy, which a proxy reads itself, and how a list of them becomes bytes.

A field is its line without the line's end: `Name: value`, the name as it was sent. Lists of pairs would have to be put
together again for each message; lines only have to be joined. Pure; knows nothing of connections.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from math import inf
from typing import Final

Fields = list[bytes]
"""Lines, each a name, a colon and a value, which white space may surround."""

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

_FORWARDING: Final = frozenset((b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded"))

_DEADLINES: Final = frozenset((b"x-request-timeout", b"grpc-timeout"))
"""How long a caller will wait, which is less at each hop (`core.deadline`)."""

_IDENTITY: Final = b"x-meshctl-identity"
"""Says to an app which member of the mesh calls it. Read only so that what a client sends of it never passes."""
MIRROR: Final = b"x-meshctl-mirror"
"""Marks the copy of a request. Believed of wrapped apps and of members of the mesh alone: an app may do less for one,
and a copy is not copied, neither of which is for a stranger to ask for."""

_PROXY: Final = b"proxy"
"""CGI makes HTTP_PROXY of it, which scripts and their children take for the proxy that their own requests go through
("httpoxy"). It is no field of HTTP; read only so that it never passes."""

IDENTIFIERS: Final = frozenset((b"x-request-id", b"traceparent"))
"""By what a request is followed: another one each time, where the rest of a head mostly repeats."""

REQUEST_READ: Final = (
    HOP_BY_HOP
    | _FORWARDING
    | _DEADLINES
    | IDENTIFIERS
    | {b"host", b"content-length", b"expect", b"via", b"user-agent", _IDENTITY, MIRROR, _PROXY}
)
"""Request fields the proxy reads and writes anew; everything else passes untouched."""

MEMBER_RESPONSE_READ: Final = HOP_BY_HOP | {b"content-length", b"x-request-id"}
"""Response fields the proxy reads and writes anew."""

RESPONSE_READ: Final = MEMBER_RESPONSE_READ | {b"x-meshctl-reason"}
"""The same of whoever is no proxy of the mesh: why a request was refused only they may say, and what an application
says of that never passes. It would be believed on the way, and a request that was done be sent again."""

_AS_VARIABLES: Final = bytes.maketrans(b"!#$%&'*+._^`|~", b"-" * 14)
# What a name may have beside letters, digits and hyphens (RFC 9110 §5.6.2).

_TELLING: Final = _FORWARDING | {_IDENTITY, MIRROR}
"""By which a service is told who calls, and whether for real."""

NEVER_NAMED: Final = frozenset(
    (b"host", b"content-length", b"transfer-encoding", b"content-type", b"authorization", b"cookie")
)
"""What a Connection field may not strip from a message: a sender that names them is trying to hide them from us or the
next hop."""

_TRAILERS_FORBIDDEN: Final = (
    HOP_BY_HOP
    | _FORWARDING
    | {
        _IDENTITY,
        MIRROR,
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
    }
)

MOST_NAMES: Final = 4_096
"""Spellings of field names remembered, so that clients cannot make the proxy remember without bound."""
LONGEST_NAME: Final = 128
"""Of those."""

CRLF: Final = b"\r\n"


def collector(
    fields: Fields, special: dict[bytes, bytes], read: frozenset[bytes], passing: set[bytes],
    repeated: Callable[[bytes, bytes], None],
) -> Callable[[bytes, bytes], None]:  # fmt: skip
    """The parser's `on_header`: what is `read` goes into `special` by lower-case name, everything else to `fields`.

    Called for every field of every message, so it is a closure over what it needs. `passing` remembers spellings of
    names that are not read: known ones cost one look-up. `repeated` is told of a special field's second occurrence."""
    append = fields.append
    # Joining two exact bytes objects costs a third of adding them up: `+` goes through the buffer protocol, twice.
    join = b": ".join

    def on_header(name: bytes, value: bytes) -> None:
        if name in passing:
            append(join((name, value)))
            return
        low = name.lower()
        if low not in read:
            if is_disguised(low):
                return
            if len(passing) < MOST_NAMES and len(name) <= LONGEST_NAME:
                passing.add(name)
            append(join((name, value)))
        elif low in special:
            repeated(low, value)
        else:
            # llhttp leaves the white space behind a value. Of it only spaces are dropped: a tab behind "chunked" makes
            # it another coding to llhttp, so it must stay one here.
            special[low] = value.rstrip(b" ")

    return on_header


def is_disguised(name: bytes) -> bool:
    """Whether a field's name (in lower case) is read by CGI and its children as one by which the proxy tells who calls.

    >>> is_disguised(b"x_forwarded-for"), is_disguised(b"x-forwarded-for"), is_disguised(b"x_other")
    (True, False, False)
    """
    found = plain(name)
    return found != name and found in _TELLING


def plain(name: bytes) -> bytes:
    """A field's name as CGI and its children read it: case makes no difference to them, nor "_" for "-" (RFC 3875
    §4.1.18), nor, to some, whatever else a name may have that no variable can.

    >>> plain(b"X_User"), plain(b"x.user")
    (b'x-user', b'x-user')
    """
    return name.lower().translate(_AS_VARIABLES)


def unheard(_name: bytes, _value: bytes) -> None:
    """The `on_header` of a reader that reads no more."""


def tokens(value: bytes) -> list[bytes]:
    """The lower-case members of a comma-separated list: b"Close, X-a" → [b"close", b"x-a"] (RFC 9110 §5.6.1)."""
    return [token for part in value.lower().split(b",") if (token := part.strip(b" \t"))]


def named_by_connection(value: bytes) -> frozenset[bytes]:
    """The field names a Connection field asks to drop at this hop (RFC 9110 §7.6.1)."""
    return frozenset(tokens(value)) - NEVER_NAMED


def keep_alive_timeout(value: bytes) -> float:
    """The seconds for which a sender keeps a connection that rests: b"timeout=5, max=100" → 5; infinity where it does
    not say."""
    for part in tokens(value):
        name, _, seconds = part.partition(b"=")
        if name == b"timeout" and seconds.isdigit() and len(seconds) < 10:
            return float(seconds)
    return inf


def is_dated(fields: Fields) -> bool:
    """Whether they say when the message was made."""
    return any(field[:5].lower() == b"date:" for field in fields)


def encode_fields(fields: Fields) -> bytes:
    """The fields as header lines, each ended by CRLF."""
    return CRLF.join([*fields, b""])


def pairs(fields: Fields) -> Iterator[tuple[bytes, bytes]]:
    """Name and value of each field."""
    for field in fields:
        name, _, value = field.partition(b":")
        yield name, value.strip(b" \t")


def without(fields: Fields, names: Container[bytes]) -> Fields:
    """The fields but for those whose lower-case name is among `names`; a new list."""
    return [field for field in fields if field[: field.index(b":")].lower() not in names]


def passing_trailers(fields: Fields) -> Fields:
    """The trailer fields that may pass: none that would frame, route or authorise a message (RFC 9110 §6.5.1)."""
    return [each for each in without(fields, _TRAILERS_FORBIDDEN) if not is_disguised(each[: each.index(b":")].lower())]


def make(*texts: str) -> Fields:
    """Fields from names and values in turn, as configuration text, which has been checked for control characters."""
    return [f"{name}: {value}".encode("latin-1") for name, value in zip(texts[::2], texts[1::2], strict=True)]
