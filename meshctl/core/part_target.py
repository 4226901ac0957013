"""What does a part of a route ask for? Its path and query, with values put in from the request and from other parts.

    /orders/{path.id}/items?user={part.user.id}&page={query.page}

A value never breaks out of its place: it is percent-encoded as a whole, what would make a segment empty, "." or ".." is
refused, and so is what is missing. Only a parameter of the query that needs one of the client's own query parameters is
left out with it. Pure; where values come from is known elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import quote, unquote

from meshctl.core.template import NAMED, PART, Part, Variable, parse

KINDS: Final = (*NAMED, PART)
LONGEST_VALUE: Final = 2048
"""Characters of a value that is put in; a longer one is none."""

Values = Callable[[Variable], str | None]
"""What a variable stands for: text as it is meant, but for a path's own, which come with their escapes."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_DOTS: Final = (".", "..")


class Lacking(ValueError):  # noqa: N818 - what is lacking is a fact
    """A variable has no value that could stand where it should."""

    def __init__(self, variable: Variable, why: str) -> None:
        super().__init__(f"needs {shown(variable)}, {why}")
        self.variable = variable


class Target:
    """A part's target, read once. Raises ValueError where it is none."""

    __slots__ = ("_params", "_path", "variables")

    def __init__(self, text: str) -> None:
        pieces = parse(text, KINDS)
        self._path, query = _divided(pieces)
        self._params = None if query is None else _params(query)
        self.variables: tuple[Variable, ...] = tuple(each for each in pieces if isinstance(each, Variable))

    def __repr__(self) -> str:
        return f"<Target {self._path} {self._params}>"

    @property
    def parts(self) -> frozenset[str]:
        """The parts of which it needs values."""
        return frozenset(each.name.partition(".")[0] for each in self.variables if each.kind == PART)

    @property
    def written(self) -> str:
        """The path without what is put in."""
        return "".join("x" if isinstance(each, Variable) else each for each in self._path)

    def fill(self, values: Values) -> tuple[str, str | None]:
        """The path and the query. Raises Lacking."""
        path = "".join([each if isinstance(each, str) else _in_path(each, values(each)) for each in self._path])
        # Some servers take what stands behind ";" out of a segment before they look for dots.
        if any(segment.partition(";")[0] in _DOTS for segment in path.split("/")):
            variable = next(each for each in self._path if isinstance(each, Variable))
            raise Lacking(variable, 'which would make "." or ".." of a segment')
        if self._params is None:
            return path, None
        filled = [_filled(param, values) for param in self._params]
        return path, "&".join(each for each in filled if each is not None) or None

    def described(self, values: Values) -> str:
        """The same in words: variables that have no value yet stand as they are written."""
        path = "".join(each if isinstance(each, str) else _guessed(each, values) for each in self._path)
        if self._params is None:
            return path
        return path + "?" + "&".join(
            "".join(each if isinstance(each, str) else _guessed(each, values) for each in param)
            for param in self._params
        )  # fmt: skip


def shown(variable: Variable) -> str:
    """A variable as it is written."""
    return f"{{{variable.kind}.{variable.name}}}" if variable.name else f"{{{variable.kind}}}"


def look(document: Any, steps: Iterable[str]) -> str | None:
    """The text at a place in a document, by names and positions; None where there is nothing that can be put in.

    >>> look({"items": [{"id": 7}]}, ["items", "0", "id"])
    '7'
    """
    for step in steps:
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and step.isascii() and step.isdigit() and len(step) < 10:
            document = document[int(step)] if int(step) < len(document) else None
        else:
            return None
    if isinstance(document, bool):
        return "true" if document else "false"
    return str(document) if isinstance(document, str | int | float) else None


def _divided(pieces: Iterable[Part]) -> tuple[list[Part], list[Part] | None]:
    """The pieces of the path and those of the query, if there is one."""
    path: list[Part] = []
    query: list[Part] | None = None
    for piece in pieces:
        if query is not None:
            query.append(piece)
        elif isinstance(piece, str) and "?" in piece:
            before, _, after = piece.partition("?")
            path += [before] if before else []
            query = [after] if after else []
        else:
            path.append(piece)
    return path, query


def _params(pieces: Iterable[Part]) -> list[list[Part]]:
    params: list[list[Part]] = [[]]
    for piece in pieces:
        if isinstance(piece, str):
            first, *others = piece.split("&")
            params[-1].append(first)
            params += [[each] for each in others]
        else:
            params[-1].append(piece)
    return params


def _in_path(variable: Variable, value: str | None) -> str:
    if not value:
        raise Lacking(variable, "which has no value")
    if len(value) > LONGEST_VALUE or _CONTROL.search(value):
        raise Lacking(variable, "whose value cannot stand in a path")
    return value if variable.kind == "path" else _escaped(variable, value)


def _filled(param: Iterable[Part], values: Values) -> str | None:
    found = []
    for piece in param:
        if isinstance(piece, str):
            found.append(piece)
            continue
        value = values(piece)
        if piece.kind == "query" and value is None:
            return None
        if not value and piece.kind != "query":
            # Whose orders? Without a user those of all would be the answer.
            raise Lacking(piece, "which has no value")
        if value is None or len(value) > LONGEST_VALUE:
            raise Lacking(piece, "whose value is too long")
        found.append(_escaped(piece, unquote(value) if piece.kind == "path" else value))
    return "".join(found)


def _escaped(variable: Variable, value: str) -> str:
    try:
        return quote(value, safe="")
    except UnicodeEncodeError:
        raise Lacking(variable, "whose value is no text") from None


def _guessed(variable: Variable, values: Values) -> str:
    value = values(variable)
    if not value:
        return shown(variable)
    return value if variable.kind == "path" else quote(value, safe="", errors="replace")
