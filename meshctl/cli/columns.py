"""How the columns of a table share a terminal that is too narrow for them. Pure arithmetic on texts: knows no terminal.

What is short stays whole, so that numbers and states can be read at a glance; what is long folds, between words or
where names have their joints."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final

GAP: Final = 2
"""Blanks between two columns."""

_LEAST: Final = 7
"""A column that folds gets at least this many characters."""

Lines = Sequence[Sequence[str]]
"""The names of the columns, then the rows, all of them as texts."""

# The ends of the parts of paths, addresses, identities and names that are long; never in front of a text.
_JOINT: Final = re.compile(r"(?<=[^/,;:.@&=-])(?:[/,;:@&=-]|[.](?!\d))+")


def kept(lines: Lines, spare: Sequence[str], width: int) -> list[int]:
    """The columns to show, by their numbers: without as many of the `spare` ones, in their order, as makes the others
    fit into `width`; without all of those that there are where nothing else helps."""
    names = list(lines[0])
    found = list(range(len(names)))
    for name in spare:
        if _whole(lines, found) <= width:
            break
        if name in names:
            found.remove(names.index(name))
    return found


def widths(lines: Lines, width: int, solid: Collection[int] = ()) -> list[int] | None:
    """The width of each column so that all fit into `width`; None where they do by themselves, or cannot. Cells of the
    `solid` ones are never folded: half a number is another number."""
    columns = range(len(lines[0]))
    if _whole(lines, columns) <= width:
        return None
    room = width - GAP * (len(columns) - 1)
    full = [max(len(line[at]) for line in lines) for at in columns]
    words = [max(_longest_word(line[at]) for line in lines) for at in columns]
    joints = [max(_longest_word(lines[0][at]), *(_longest_piece(line[at]) for line in lines[1:]), 0) for at in columns]
    found = [min(joint, max(_LEAST, _longest_word(name))) for joint, name in zip(joints, lines[0], strict=True)]
    for at in solid:
        found[at] = max(_longest_word(lines[0][at]), *(len(line[at]) for line in lines[1:]), 0)
    if sum(found) > room:
        return None
    for wanted in (joints, words, full):
        # The shortest first: they cost the least, and most tables have many of them.
        for at in sorted(columns, key=lambda at: wanted[at]):
            if wanted[at] > found[at] and sum(found) - found[at] + wanted[at] <= room:
                found[at] = wanted[at]
    # What is left goes to whoever lacks most.
    for _ in range(room - sum(found)):
        at = max(columns, key=lambda at: full[at] - found[at])
        found[at] += full[at] > found[at]
    return found


def folded(text: str, width: int) -> str:
    """`text` in lines of at most `width`: ended at blanks, else behind what joins the parts of names, else anywhere."""
    lines = []
    while len(text) > width:
        at = text.rfind(" ", 1, width + 1)
        if at < 0:
            at = max((found.end() for found in _JOINT.finditer(text) if found.end() <= width), default=width)
        lines.append(text[:at].rstrip())
        text = text[at:].lstrip()
    return "\n".join([*lines, text])


def _whole(lines: Lines, columns: Sequence[int]) -> int:
    return sum(max(len(line[at]) for line in lines) for at in columns) + GAP * (len(columns) - 1)


def _longest_word(text: str) -> int:
    return max(map(len, text.split()), default=0)


def _longest_piece(text: str) -> int:
    return max(map(len, _JOINT.sub(lambda joint: f"{joint[0]} ", text).split()), default=0)
