"""Text of strangers where people read it: what ends a line, closes a quotation, speaks to a terminal, turns the writing
direction or cannot be seen is escaped."""

from __future__ import annotations

import re
from typing import Final

DECEIVING: Final = r"\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
"""Characters that nobody sees but by what they do to others, such as turning them around, as part of a pattern."""

_UNSAFE: Final = re.compile(rf'["\\\x00-\x1f\x7f-\xa0{DECEIVING}\ud800-\udfff]')
_CONTROL: Final = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f{DECEIVING}]")
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


def clean(text: str) -> str:
    """`text`, in which lines and tabs stay, with all that would speak to a terminal or deceive its reader escaped."""
    return _CONTROL.sub(_escape, text)


def clean_json(text: str) -> str:
    """The same for a JSON document, which stays one: JSON allows in strings what terminals obey.

    >>> clean_json('"\x9b31m"')
    '"\\\\u009b31m"'
    """
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if character in '"\\':
        return "\\" + character
    return f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"
