"""The fields of a connection's last head, kept so that the next head need only be read where it differs from it.

Whether a head is plain enough to be read this way, and whether it is valid where it is read from scratch, is decided by
`plain`; here only fields count.
"""

from __future__ import annotations

import re
from itertools import compress
from operator import ne
from typing import Final

from meshctl.wire.fields import IDENTIFIERS, LONGEST_NAME, MOST_NAMES, Fields, is_disguised

# A field's value as llhttp accepts it, without what is rare.
_PLAIN_VALUE: Final = re.compile(rb"[\t -~]*").fullmatch
_MOST_CHANGED: Final = 4


class LastFields:
    """What a connection's last head said, so that the next one need only be read where it differs."""

    __slots__ = ("_at", "_lines", "_passing", "_read", "ids", "passing", "special")

    def __init__(self, read: frozenset[bytes], passing: set[bytes]) -> None:
        self._read = read
        self._passing = passing
        self._lines: list[bytes] = []
        # Where each line went: its place in `passing`, or its name in `special`
        self._at: list[int | bytes] = []
        self.passing: Fields = []
        self.special: dict[bytes, bytes] = {}
        self.ids: dict[bytes, bytes] = {}
        """Of what is special, the identifiers. They differ when nothing else does, and must not make the rest anew."""

    def forget(self) -> None:
        """The head was none."""
        self._lines = []

    def amend(self, lines: list[bytes]) -> bool:
        """Read and judge the lines of a head that differs from the last one in a few values; False where it differs in
        more."""
        last = self._lines
        if not last or len(lines) != len(last):
            return False
        changed = [*compress(range(len(lines)), map(ne, lines, last))]
        if len(changed) > _MOST_CHANGED:
            return False
        passing, special = self.passing, self.special
        for index in changed:
            line, before, at = lines[index], last[index], self._at[index]
            colon = before.index(b":") + 1
            if not line.startswith(before[:colon]) or not _PLAIN_VALUE(line, colon):
                return False
            # A copy, because the last message may still be under way with the old one.
            if isinstance(at, int):
                passing = passing.copy() if passing is self.passing else passing
                passing[at] = line
            elif at in IDENTIFIERS:
                self.ids[at] = _value(line, colon)
            else:
                special = special.copy() if special is self.special else special
                special[at] = _value(line, colon)
        self._lines, self.passing, self.special = lines, passing, special
        return True

    def sort(self, lines: list[bytes]) -> bool:
        """Read a head from scratch, and leave it to others to judge it; False where a field that the proxy reads
        repeats or is disguised, or where lines are more than one head."""
        if b"" in lines:
            return False
        fields: Fields = []
        special: dict[bytes, bytes] = {}
        ids: dict[bytes, bytes] = {}
        places: list[int | bytes] = []
        names = self._passing
        for line in lines:
            colon = line.find(b":")
            name = line[:colon]
            if name not in names:
                low = name.lower()
                if low in self._read:
                    if low in special or low in ids:
                        return False
                    (ids if low in IDENTIFIERS else special)[low] = _value(line, colon + 1)
                    places.append(low)
                    continue
                if is_disguised(low):
                    return False
                if len(names) < MOST_NAMES and len(name) <= LONGEST_NAME:
                    names.add(name)
            places.append(len(fields))
            fields.append(line)
        self._lines, self._at, self.passing, self.special, self.ids = lines, places, fields, special, ids
        return True


def _value(line: bytes, at: int) -> bytes:
    """The value of a line from behind its colon, without white space around it. Only spaces are dropped behind it, as
    the full reader does."""
    return line[at:].lstrip(b" \t").rstrip(b" ")
