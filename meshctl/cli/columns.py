"""How the columns of a table share a terminal that is too narrow for them. Pure arithmetic on texts: knows no terminal.

What is short stays whole, so that numbers and states can be read at a glance; what is long folds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

GAP: Final = 2
"""Blanks between two columns."""

_LEAST: Final = 7
"""A column that folds gets at least this many characters."""

Lines = Sequence[Sequence[str]]
"""The names of the columns, then the rows, all of them as texts."""


def kept(lines: Lines, spare: Sequence[str], width: int) -> list[int]:
    """The columns to show, by their numbers: without as many of the `spare` ones, in their order, as makes the others
    fit into `width`; all of those where nothing else helps."""
    names = list(lines[0])
    found = list(range(len(names)))
    for name in spare:
        if _whole(lines, found) <= width:
            break
        found.remove(names.index(name))
    return found


def widths(lines: Lines, width: int) -> list[int] | None:
    """The width of each column so that all fit into `width`; None where they do by themselves, or cannot."""
    columns = range(len(lines[0]))
    if _whole(lines, columns) <= width:
        return None
    room = width - GAP * (len(columns) - 1)
    full = [max(len(line[at]) for line in lines) for at in columns]
    words = [max(_longest_word(line[at]) for line in lines) for at in columns]
    found = [min(word, max(_LEAST, _longest_word(name))) for word, name in zip(words, lines[0], strict=True)]
    if sum(found) > room:
        return None
    for wanted in (words, full):
        # The shortest first: they cost the least, and most tables have many of them.
        for at in sorted(columns, key=lambda at: wanted[at]):
            if sum(found) - found[at] + wanted[at] <= room:
                found[at] = wanted[at]
    # What is left goes to whoever lacks most.
    for _ in range(room - sum(found)):
        at = max(columns, key=lambda at: full[at] - found[at])
        found[at] += full[at] > found[at]
    return found


def _whole(lines: Lines, columns: Sequence[int]) -> int:
    return sum(max(len(line[at]) for line in lines) for at in columns) + GAP * (len(columns) - 1)


def _longest_word(text: str) -> int:
    return max(map(len, text.split()), default=0)
