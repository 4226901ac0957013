"""Cache-Control, as answers and requests say it (RFC 9111 §5.2), read so that whoever is unclear is not cached.

A number that is none is 0, and of one that is said twice the least holds. Pure.
"""

from __future__ import annotations

import re
from functools import lru_cache
from math import inf
from typing import Final, NamedTuple

_BETWEEN: Final = re.compile(r"[\s,]*+")
# Each branch is possessive, so that the time is linear: who writes this may be a stranger.
_PART: Final = re.compile(
    r"""(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]++)"""
    r"""(?:\s*+=\s*+(?:"(?P<quoted>(?:[^"\\]|\\.)*+)"|(?P<plain>[^\s,";]*+)))?"""
)
_MOST: Final = 2**31
"""What greater numbers mean (§1.2.2)."""
_LONGEST: Final = 256
"""Characters of what is remembered."""

Directives = dict[str, str | None]


def directives(value: str) -> Directives:
    """The directives by lower-case name, with their argument where they have one. Nobody may change them.

    >>> directives('Public, max-age=60, private="x, y", max-age="5"')
    {'public': None, 'max-age': '5', 'private': 'x, y'}
    """
    return _known(value) if len(value) <= _LONGEST else _read(value)


def seconds(said: str | None) -> float:
    """The seconds of a directive that is there; 0 where that is no number."""
    if not said or not said.isascii() or not said.isdigit():
        return 0.0
    return float(min(int(said[:12]), _MOST))


class Asked(NamedTuple):
    """What a request says of answers that are kept (§5.2.1)."""

    no_store: bool = False
    no_cache: bool = False
    only_if_cached: bool = False
    max_age: float = inf
    min_fresh: float = 0.0
    max_stale: float = 0.0

    @property
    def is_particular(self) -> bool:
        """Whether it wants anything but what is fresh."""
        return self != NOTHING


NOTHING: Final = Asked()


def asked(control: str | None, pragma: str | None = None) -> Asked:
    """What a request's Cache-Control says, or for want of it Pragma (§5.4)."""
    if control is None:
        return Asked(no_cache=True) if pragma and "no-cache" in pragma.lower() else NOTHING
    said = directives(control)
    stale = 0.0
    if "max-stale" in said:
        stale = inf if said["max-stale"] is None else seconds(said["max-stale"])
    return Asked(
        "no-store" in said,
        "no-cache" in said,
        "only-if-cached" in said,
        seconds(said["max-age"]) if "max-age" in said else inf,
        seconds(said.get("min-fresh")),
        stale,
    )


def _end_of(pattern: re.Pattern[str], value: str, at: int) -> int:
    found = pattern.match(value, at)
    return found.end() if found is not None else at


def _read(value: str) -> Directives:
    found: Directives = {}
    at = 0
    while (at := _end_of(_BETWEEN, value, at)) < len(value):
        part = _PART.match(value, at)
        if part is not None:
            at = part.end()
            name = part["name"].lower()
            said = part["quoted"] if part["quoted"] is not None else part["plain"]
            if name not in found or seconds(said) < seconds(found[name]):
                found[name] = said
        # What is no directive ends with the next comma, like one.
        comma = value.find(",", at)
        at = len(value) if comma < 0 else comma + 1
    return found


_known: Final = lru_cache(maxsize=1024)(_read)
