"""The request target and Host: which host and path a request means (RFC 9112 §3.2, RFC 9110 §7.2). Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_HOST: Final = re.compile(
    r"(\[[0-9A-Fa-f:.]+(?:%25[A-Za-z0-9._~-]+)?\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::([0-9]{0,5}))?", re.ASCII
)


_LONGEST: Final = 300
"""Of what is remembered: the longest name of a host has 253 octets. Whoever sends more sends another each time."""


def split_host(value: str) -> str | None:
    """The host of a Host field or authority in lower case, without its port; None where it is not valid.

    Remembered, because clients ask for few hosts and reading one costs as much as three header fields. A trailing dot
    is dropped, so that "a.example." and "a.example" are one host. User information is refused.
    """
    return _known(value) if len(value) <= _LONGEST else _split(value)


def _split(value: str) -> str | None:
    found = _HOST.fullmatch(value)
    if not found or (found[2] and int(found[2]) > 65535):
        return None
    return found[1].lower().removesuffix(".").strip("[]")


_known: Final = lru_cache(maxsize=1024)(_split)


def split_port(value: str) -> int | None:
    """The port that a valid authority names; None where it names none, as "a" and "a:" (RFC 3986 §3.2.3)."""
    _, colon, port = value.rpartition(":")
    return int(port) if colon and port.isdecimal() else None


def split_absolute(target: str) -> tuple[str, str] | None:
    """The authority and the path with query of an absolute-form target; None for another scheme or no authority."""
    scheme, mark, rest = target.partition("://")
    if not mark or scheme.lower() not in {"http", "https"}:
        return None
    ends = [at for at in (rest.find("/"), rest.find("?")) if at >= 0]
    end = min(ends, default=len(rest))
    authority, path = rest[:end], rest[end:]
    if not authority or "@" in authority:
        return None
    return authority, path if path.startswith("/") else f"/{path}"
