"""What kind of path a path is: parts that name one thing among many become "*", so that few kinds are told apart.

    /v1/orders/1042/items     → /v1/orders/*/items
    /u/3f2a…-uuid/avatar.png  → /u/*/avatar.png

A guess by their looks, since paths say nothing of what they mean; numbers, UUIDs, long hex and other long random words
count as names of things. Pure.
"""

from __future__ import annotations

import re
from typing import Final

MOST_PARTS: Final = 6
_LONGEST: Final = 48

_THING: Final = re.compile(
    r"[0-9][0-9.,:_-]*"  # numbers, dates, versions of things
    r"|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
    r"|(?=[^0-9]*[0-9])[0-9a-fA-F]{8,}"
    r"|(?=[^0-9]*[0-9])[A-Za-z0-9_=-]{16,}"
    r"|[^/]*[@%][^/]*"  # addresses of people, and what had to be escaped
)


def path_shape(path: str) -> str:
    """The kind of `path`, whose query is left out."""
    parts = path.partition("?")[0].split("/")
    shown = [_part(part) for part in parts[: MOST_PARTS + 1]]
    if len(parts) > MOST_PARTS + 1:
        shown.append("…")
    return "/".join(shown)


def _part(part: str) -> str:
    if _THING.fullmatch(part):
        return "*"
    return part if len(part) <= _LONGEST else part[:_LONGEST] + "…"
