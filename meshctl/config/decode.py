"""Text → `Document`, with every problem and not only the first.

It knows shapes and no meanings: cross-checks come after it. To let those run although a value is bad, the bad value is
*pruned* from the data and the rest decoded again; what a cross-check says of a pruned place is no news and is dropped.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Set
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from meshctl.config.document import Document
from meshctl.config.problems import Finding, Path, Wrong, did_you_mean, one_of, quoted
from meshctl.config.scalars import kind_of

_AT: Final = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")
# A pass can uncover what the one before hid (a table that lacks a pruned key); more than a few mean the rest is no use.
_PASSES: Final = 8
# TOML's integers have 64 bits; tomllib takes longer ones, and some of those cannot even be printed.
_LARGEST: Final = 2**63 - 1
_LONG_DIGITS: Final = re.compile(r"[0-9A-Fa-f_]{16,}")

_EXPECTED: Final = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "an array",
    "dict_type": "a table",
    "model_type": "a table",
    "finite_number": "a finite number",
}
_BOUNDS: Final = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "more than"),
    "less_than": ("lt", "less than"),
    "too_short": ("min_length", "at least"),
    "too_long": ("max_length", "at most"),
}


class Decoded:
    """What a text says: a document, unless nothing of it can be used, the findings, and what was pruned."""

    def __init__(
        self, document: Document | None, data: dict[str, Any], findings: list[Finding], pruned: Iterable[Path]
    ) -> None:
        self.document = document
        self._data = data
        self.findings = findings
        self._lost = frozenset(pruned)
        self._damaged = {path[:end] for path in self._lost for end in range(len(path) + 1)}

    def written(self, path: Path) -> Path:
        """`path` as the file has it: there, a single table may stand for a list and a word for a table."""
        return _real(path, self._data)

    def is_damaged(self, path: Path) -> bool:
        """Whether the table or value at `path` is not whole: something in it was pruned."""
        return path in self._damaged

    def is_lost(self, path: Path) -> bool:
        """Whether the file has the table or value at `path`, but it was pruned, alone or with what is around it."""
        return _is_within(path, self._lost)


# tomllib's words → what a person did.
_SAYINGS: Final = (
    (re.compile(r"cannot overwrite a value"), "this key is given before", "each key once"),
    (re.compile(r"cannot (?:declare|mutate) .*|cannot redefine .*"), "this table is given before", "each table once"),
    (re.compile(r"illegal character '\\n'|unterminated string"), "the string does not end on its line", 'a closing "'),
    (re.compile(r"invalid value"), "no value that TOML knows", 'a "string", number, true, false, [array] or { table }'),
    (re.compile(r"invalid statement"), "neither a key nor a table", "key = value, [table] or [[array of tables]]"),
)


class BadSyntax(Exception):  # noqa: N818 - a claim about a text, caught next door
    """A text that is no TOML, with the place and what is wrong there."""

    def __init__(self, message: str, line: int, column: int, expected: str = "") -> None:
        super().__init__(message)
        self.message, self.line, self.column, self.expected = message, line, column, expected


def parse(text: str) -> dict[str, Any]:
    """The text's data. Raises BadSyntax."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _bad_syntax(str(error), text) from error
    except RecursionError as error:
        raise BadSyntax("values are nested too deeply", 1, 1) from error
    except ValueError as error:  # int() refuses thousands of digits
        raise BadSyntax(str(error).lower(), 1, 1) from error


def decode(text: str) -> Decoded:
    """The document in `text` and what is wrong with its shape. Raises BadSyntax."""
    data = parse(text)
    huge = list(_too_large(data)) if _LONG_DIGITS.search(text) else []
    findings = [Finding(path, "the integer is too large", "at most 64 bits") for path in huge]
    pruned = {_prune(data, path) for path in huge}
    for _ in range(_PASSES):
        try:
            return Decoded(Document.model_validate(data), data, findings, pruned)
        except ValidationError as error:
            found = [_finding(detail, data) for detail in error.errors(include_url=False)]
        known = Decoded(None, data, [], pruned)
        findings += [finding for finding in found if not known.is_damaged(finding.path)]
        gone: set[Path] = set()
        for finding in found:
            if not _is_within(finding.path, gone):
                gone.add(_prune(data, finding.path))
        pruned |= gone
    return Decoded(None, data, findings, pruned)


def _is_within(path: Path, places: Set[Path]) -> bool:
    return any(path[:end] in places for end in range(len(path) + 1))


def _bad_syntax(message: str, text: str) -> BadSyntax:
    found = _AT.search(message)
    what = message[: found.start()] if found else message
    if found and found[1]:
        line, column = int(found[1]), int(found[2])
    else:
        lines = text.replace("\r\n", "\n").split("\n")
        line, column = len(lines), len(lines[-1]) + 1
    what = what[:1].lower() + what[1:]
    for pattern, meaning, expected in _SAYINGS:
        if pattern.fullmatch(what):
            return BadSyntax(meaning, line, column, expected)
    return BadSyntax(what, line, column)


def _finding(detail: ErrorDetails, data: dict[str, Any]) -> Finding:
    """pydantic's error in our words, at a place that the file has."""
    kind, value = detail["type"], detail["input"]
    loc = tuple(step for step in detail["loc"] if step != "[key]")
    path = _real(loc, data)
    context = detail.get("ctx", {})
    error = context.get("error")
    if kind == "missing":
        return Finding(path, "missing")
    if kind == "extra_forbidden":
        known = _keys_at(loc[:-1])
        return Finding(path, "unknown key", one_of(known), did_you_mean(str(loc[-1]), known))
    if isinstance(error, Wrong):
        return Finding(path, error.message or f"{_shown(value)} is not valid", error.expected, error.hint)
    if kind == "literal_error":
        expected = str(context["expected"]).replace("'", '"')
        words = re.findall(r'"([^"]*)"', expected)
        return Finding(path, f"{_shown(value)} is not valid", expected, did_you_mean(str(value), words))
    if kind in _BOUNDS:
        name, words_before = _BOUNDS[kind]
        items = "" if not name.endswith("length") else " element" if context[name] == 1 else " elements"
        return Finding(path, f"{_shown(value)} is not valid", f"{words_before} {_number(context[name])}{items}")
    if kind in _EXPECTED:
        return Finding(path, f"{_shown(value)} is not valid here", _EXPECTED[kind])
    return Finding(path, detail["msg"][:1].lower() + detail["msg"][1:])


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list) and not value:
        return "an empty array"
    if isinstance(value, int | float):
        return _number(value)
    return quoted(value) if isinstance(value, str) else kind_of(value)


def _number(value: float) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _too_large(data: Any) -> Iterator[Path]:
    """The integers that do not fit."""
    waiting: list[tuple[Path, Any]] = [((), data)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [((*path, key), each) for key, each in value.items()]
        elif isinstance(value, list):
            waiting += [((*path, number), each) for number, each in enumerate(value)]
        elif isinstance(value, int) and not -_LARGEST - 1 <= value <= _LARGEST:
            yield path


def _real(loc: tuple[int | str, ...], data: Any) -> Path:
    """The part of pydantic's path that the file has: shorthand has no keys, a single table stands for a list of one."""
    path: Path = ()
    for step in loc:
        if isinstance(data, list) and isinstance(step, int):
            path, data = (*path, step), data[step]
        elif isinstance(data, dict) and isinstance(step, str):
            path, data = (*path, step), data.get(step)
        elif not isinstance(data, dict):
            break
    return path


def _prune(data: dict[str, Any], path: Path) -> Path:
    """Take the smallest removable thing at `path` out of `data`; the path of what went.

    Array elements go with their whole array, so that others keep their numbers; a missing key takes its table along.
    """
    while path:
        holder: Any = data
        for step in path[:-1]:
            holder = holder[step] if isinstance(step, int) and isinstance(holder, list) else holder.get(step, {})
        if isinstance(holder, dict) and path[-1] in holder:
            del holder[path[-1]]
            return path
        path = path[:-1]
    data.clear()
    return path


def _keys_at(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that the table at `loc` may have."""
    at: Any = Document
    for step in loc:
        if isinstance(at, type) and issubclass(at, BaseModel):
            at = _fields(at).get(str(step))
        else:
            at = _bare(get_args(at)[-1]) if get_args(at) else None
    return list(_fields(at)) if isinstance(at, type) and issubclass(at, BaseModel) else []


def _fields(table: type[BaseModel]) -> dict[str, Any]:
    """The types of a table's keys, by the name that the file has for them."""
    return {field.alias or name: _bare(field.annotation) for name, field in table.model_fields.items()}


def _bare(annotation: Any) -> Any:
    """The type inside Optional and Annotated."""
    while hasattr(annotation, "__metadata__") or get_origin(annotation) in (Union, UnionType):
        annotation = get_args(annotation)[0]
    return annotation
