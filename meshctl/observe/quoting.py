"""Text of strangers on one line of a log: what ends a line, closes a quotation or speaks to a terminal is escaped."""

from __future__ import annotations

import re
from typing import Final

_UNSAFE: Final = re.compile(r'["\\\x00-\x1f\x7f-\xa0\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]')
_BARE: Final = re.compile(r"[A-Za-z0-9_.:/@%+,~*?&\[\](){}|#!;<>-]+", re.ASCII)


def escaped(value: str) -> str:
    """`value` with quotes and backslashes behind a backslash and control characters as `\\xNN` or `\\uNNNN`.

    >>> escaped('a "b"')
    'a \\\\"b\\\\"'
    """
    if value.isprintable() and '"' not in value and "\\" not in value:
        return value
    return _UNSAFE.sub(_escape, value)


def quoted(value: object) -> str:
    """`value` for a key=value line: as it is where it is one plain word, else escaped between quotes."""
    text = str(value)
    return text if _BARE.fullmatch(text) else f'"{escaped(text)}"'


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if character in '"\\':
        return "\\" + character
    return f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"
