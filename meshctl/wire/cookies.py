"""Cookies: what a request has of them, what is left of its fields without some, and how one is set (RFC 6265). Pure."""

from __future__ import annotations

from collections.abc import Container

from meshctl.wire.fields import Fields


def cookies(fields: Fields) -> dict[str, str]:
    """The cookies among a request's fields; of several with one name the first.

    >>> cookies([b"Cookie: a=1; b=x=y; a=2", b"Accept: */*"])
    {'a': '1', 'b': 'x=y'}
    """
    found: dict[str, str] = {}
    for line in fields:
        if _is_cookie(line):
            for pair in line[7:].decode("latin-1").split(";"):
                name, mark, value = pair.strip(" \t").partition("=")
                if mark:
                    found.setdefault(name, value.strip('"'))
    return found


def every_cookie(fields: Fields, name: str) -> list[str]:
    """The values of all cookies of that name among a request's fields.

    >>> every_cookie([b"Cookie: a=1; b=2; a=3"], "a")
    ['1', '3']
    """
    start = f"{name}="
    lines = [line[7:].decode("latin-1").split(";") for line in fields if _is_cookie(line)]
    pairs = [pair.strip(" \t") for line in lines for pair in line]
    return [pair[len(start) :].strip('"') for pair in pairs if pair.startswith(start)]


def without_cookies(fields: Fields, names: Container[bytes]) -> Fields:
    """The fields without the cookies of these names; a new list.

    >>> without_cookies([b"Cookie: a=1; b=2", b"Accept: */*", b"cookie: b=3"], {b"b"})
    [b'Cookie: a=1', b'Accept: */*']
    """
    found = []
    for line in fields:
        if _is_cookie(line):
            pairs = [pair.strip(b" \t") for pair in line[7:].split(b";")]
            kept = [pair for pair in pairs if pair and pair.partition(b"=")[0].strip(b" \t") not in names]
            if len(kept) < len(pairs):
                if kept:
                    found.append(line[:7] + b" " + b"; ".join(kept))
                continue
        found.append(line)
    return found


def set_cookie(name: str, value: str, *, path: str, seconds: int, secure: bool) -> bytes:
    """The field that sets a cookie which no script can read and no other site's form sends along; 0 `seconds` take it
    away."""
    said = f"Set-Cookie: {name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax"
    return (said + "; Secure" if secure else said).encode("latin-1")


def _is_cookie(line: bytes) -> bool:
    return line[:7].lower() == b"cookie:"
