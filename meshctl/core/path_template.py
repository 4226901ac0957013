"""Paths with names for some of their segments, such as `/users/{id}/files/{rest*}`: which paths fit them?

A name stands for one whole segment, with a star at the end for all that follow. Pure; knows nothing of routes.
"""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"\{([a-z][a-z0-9_]*)(\*)?\}", re.ASCII)


def names(template: str) -> tuple[str, ...]:
    """The names in a template. Raises ValueError where it is none.

    >>> names("/users/{id}/files/{rest*}")
    ('id', 'rest')
    """
    found: list[str] = []
    segments = template.split("/")[1:]
    for number, segment in enumerate(segments):
        if "{" not in segment and "}" not in segment:
            continue
        name = _NAME.fullmatch(segment)
        if name is None:
            raise ValueError('expected a path such as "/users/{id}": names stand for whole segments')
        if name[2] and number < len(segments) - 1:
            raise ValueError('expected a name with a star at the end alone, as in "/files/{rest*}"')
        if name[1] in found:
            raise ValueError(f'expected each name once: "{name[1]}" is there twice')
        found.append(name[1])
    if not found:
        raise ValueError('expected a name for a segment at least, as in "/users/{id}"')
    return tuple(found)


def pattern(template: str) -> str:
    """The regular expression for the paths that fit, with a group for each name."""
    said = []
    for segment in template.split("/")[1:]:
        name = _NAME.fullmatch(segment)
        if name is None:
            said.append(re.escape(segment))
        else:
            said.append(f"(?P<{name[1]}>{'.+' if name[2] else '[^/]+'})")
    return "/" + "/".join(said)


def written_out(template: str) -> int:
    """How many characters of it are no names: the more, the fewer paths fit."""
    return len(_NAME.sub("", template))
