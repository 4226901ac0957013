"""Which parts of a JSON document does a JSONPath mean? The part of RFC 9535 that names places: members, elements,
wildcards and descendants (`$.items[*].id`, `$['a b'][0]`, `$..updated`); no slices, filters or functions. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

Place = tuple[str | int, ...]
"""The way to a value: member names and positions."""

_SEGMENT: Final = re.compile(
    r"""(?:(?P<deep>\.\.)|\.(?!\[)|(?=\[))(?:
        (?P<name>[^\W\d][\w-]*) | (?P<any>\*)
        | \[(?:(?P<index>\d{1,9}) | (?P<every>\*) | '(?P<single>(?:[^'\\]|\\.)*)' | "(?P<double>(?:[^"\\]|\\.)*)")\]
    )""",
    re.VERBOSE,
)


class Segment(NamedTuple):
    """One step of a path."""

    kind: Literal["name", "index", "any"]
    value: str | int = ""
    is_deep: bool = False
    """Whether it may lie any number of steps further down."""


Path = tuple[Segment, ...]


def parse(text: str) -> Path:
    """The steps of a JSONPath. Raises ValueError where it is none, or not of the part that is understood.

    >>> parse("$.items[*].id")[2].value
    'id'
    """
    if not text.startswith("$"):
        raise ValueError('expected a JSONPath that begins with "$", such as "$.items[*].id"')
    at, found = 1, []
    while at < len(text):
        step = _SEGMENT.match(text, at)
        if step is None or step.end() == at:
            hint = "names, positions, * and .. are understood"
            raise ValueError(f'"{text[at:]}" is not understood; {hint}, as in "$..items[*].id"')
        found.append(_segment(step))
        at = step.end()
    if not found:
        raise ValueError('"$" would mean the whole document')
    return tuple(found)


def means(paths: Sequence[Path], place: Place) -> bool:
    """Whether one of `paths` means the value at `place`."""
    return any(_fits(path, place) for path in paths)


def written(place: Place) -> str:
    """A place as a JSONPath: ("items", 0, "id") → "$.items[0].id"."""
    said = "$"
    for step in place:
        if isinstance(step, int):
            said += f"[{step}]"
        elif re.fullmatch(r"[^\W\d][\w-]*", step):
            said += f".{step}"
        else:
            escaped = step.replace("\\", "\\\\").replace("'", "\\'")
            said += f"['{escaped}']"
    return said


def _segment(step: re.Match[str]) -> Segment:
    is_deep = step["deep"] is not None
    if step["index"] is not None:
        return Segment("index", int(step["index"]), is_deep)
    if step["any"] or step["every"]:
        return Segment("any", is_deep=is_deep)
    quoted = step["single"] if step["single"] is not None else step["double"]
    if quoted is not None:
        return Segment("name", re.sub(r"\\(.)", r"\1", quoted), is_deep)
    return Segment("name", step["name"], is_deep)


def _fits(path: Path, place: Place) -> bool:
    """Whether the path leads to exactly this place. `reached` are the steps of `path` that may have been taken."""
    reached = {0}
    for step in place:
        after = set()
        for at in reached:
            if at == len(path):
                continue
            segment = path[at]
            if segment.is_deep:
                after.add(at)
            if segment.kind == "any" or (type(step) is type(segment.value) and step == segment.value):
                after.add(at + 1)
        reached = after
    return len(path) in reached
