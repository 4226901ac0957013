"""What is the one form of a request's path? RFC 3986 §6.2.2, so that what is matched is what is served.

Works on the path alone, without query; knows nothing of routes or of the wire.
"""

from __future__ import annotations

import re
from typing import Final

_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# pchar of RFC 3986 §3.3 and the slash, without the dot and the percent sign, which need a look at what surrounds them.
_PLAIN: Final = r"/A-Za-z0-9_~!$&'()*+,;=:@\-"
# The whole of a normal path. Each branch is possessive or one character, so that the time is linear.
_NORMAL: Final = re.compile(
    rf"""/(?:
        [{_PLAIN}]++
      | (?<!/)\.                    # a dot within a segment
      | \.(?!\.?(?:/|\Z))           # a dot that begins a segment which is neither "." nor ".."
      | %(?!00|2[DE]|3[0-9]|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE])[0-9A-F]{{2}}
    )*+""",
    re.VERBOSE,
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_TO_REWRITE: Final = re.compile(rf"%(?:([0-9A-Fa-f]{{2}}))?|[^{_PLAIN}.%]+")

is_normal = _NORMAL.fullmatch


def normalise(raw_path: str) -> str:
    """The normal form of `raw_path`: escapes in upper case, unreserved octets decoded, no dot segments.

    Other characters are escaped; empty segments and "%2F" stay. Non-ASCII octets should come as `bytes.decode("ascii",
    "surrogateescape")` or as UTF-8 text. Raises ValueError for control characters, "%00", a broken escape and a path
    that does not begin with a slash.

    >>> normalise("/a/./b/%2e%2e/%7euser/%c3%a9")
    '/a/~user/%C3%A9'
    """
    if is_normal(raw_path):
        return raw_path
    if raw_path in ("", "*"):
        # RFC 9112 §3.2.1: an empty path is "/"; §3.2.4: "*" asks about the server as a whole.
        return raw_path or "/"
    if raw_path[0] != "/":
        raise ValueError('expected a path that begins with "/"')
    if _CONTROL.search(raw_path):
        raise ValueError("a path cannot hold control characters")
    path = _TO_REWRITE.sub(_rewrite, raw_path)
    return _without_dots(path) if "/." in path else path


def _rewrite(found: re.Match[str]) -> str:
    """One escape in its normal form, or a run of characters that need escapes."""
    text = found[0]
    if text[0] != "%":
        return "".join(f"%{octet:02X}" for octet in text.encode("utf-8", "surrogateescape"))
    if found[1] is None:
        raise ValueError('expected two hexadecimal digits after "%"')
    octet = int(found[1], 16)
    if octet == 0:
        raise ValueError('a path cannot hold "%00"')
    return chr(octet) if octet in _UNRESERVED else text.upper()


def _without_dots(path: str) -> str:
    """`path` with "." and ".." taken out (RFC 3986 §5.2.4); it never climbs above the root."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        # They name a folder: "/a/b/.." is "/a/".
        kept.append("")
    return "/" + "/".join(kept)


def replace_prefix(path: str, prefix: str, new: str) -> str:
    """`path` with `new` in the place of `prefix`, joined by one slash; unchanged where it is not under `prefix`.

    A result never begins with two slashes that were not in `new`: in a Location header they would name a host.

    >>> replace_prefix("/v1/orders/7", "/v1/orders", "/"), replace_prefix("/v1/orders", "/v1/orders", "/orders")
    ('/7', '/orders')
    """
    key = prefix.removesuffix("/")
    rest = path[len(key) :]
    if not path.startswith(key) or (rest and rest[0] != "/"):
        return path
    base = new.removesuffix("/")
    if not rest:
        return new or "/"
    return base + rest if base else "/" + rest.lstrip("/")
