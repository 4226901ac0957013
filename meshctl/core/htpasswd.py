"""A file of names and hashed passwords: one `name:hash` on each line, hashes by argon2 or bcrypt alone. Pure.

>>> read_users("# people\\nada:$2y$12$" + "a" * 53)
{'ada': '$2y$12$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}
"""

from __future__ import annotations

import re
from typing import Final

LARGEST: Final = 4_194_304
"""Bytes of such a file."""

_BCRYPT: Final = re.compile(r"\$2[aby]\$(?:0[4-9]|1[0-9]|2[0-4])\$[./A-Za-z0-9]{53}").fullmatch
_ARGON2: Final = re.compile(r"\$argon2(?:id|i|d)\$(?:v=[0-9]+\$)?m=[0-9]+,t=[0-9]+,p=[0-9]+\$[^$]+\$[^$]+").fullmatch


def is_argon2(hashed: str) -> bool:
    """Whether a hash is one by argon2, not bcrypt."""
    return hashed.startswith("$argon2")


def read_users(text: str) -> dict[str, str]:
    """The hashes by name. Raises ValueError, which tells of no hash."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        name, mark, hashed = entry.partition(":")
        if not name or not mark:
            raise ValueError(f"line {number} is no name:hash")
        if not (_BCRYPT(hashed) or _ARGON2(hashed)):
            raise ValueError(f'line {number}: the password of "{name}" is hashed neither by argon2 nor by bcrypt')
        if name in found:
            raise ValueError(f'line {number}: "{name}" is there twice')
        found[name] = hashed
    if not found:
        raise ValueError("has no users")
    return found
