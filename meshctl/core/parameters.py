"""Do the parameters of a request meet what its operation says of them? Texts of a path, a query, a head or a cookie are
read as the kinds of values that their schema has, by the styles of OpenAPI. Pure.

What the document does not name passes. A text that is no number where a number is asked for stays a text, of which the
schema then says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import unquote, unquote_plus

import msgspec

from meshctl.core.instances import SHALLOW, Fault, Schema, members
from meshctl.core.json_edits import decode, is_deeper
from meshctl.model.checked import Parameter

Values = Mapping[str, Sequence[str]]
"""What a query has, by name, not yet decoded but for the names."""

_INTEGER: Final = re.compile(r"-?[0-9]{1,400}")
_NUMBER: Final = re.compile(r"-?[0-9]{1,400}(?:\.[0-9]{1,400})?(?:[eE][-+]?[0-9]{1,3})?")
_BOOLEANS: Final = {"true": True, "false": False}
_BETWEEN: Final[dict[str, str | re.Pattern[str]]] = {
    "form": ",",
    "simple": ",",
    "space": re.compile(r"%20|\+"),
    "pipe": re.compile(r"\||%7[cC]"),
}
MOST_VALUES: Final = 1_000
"""Of one query: what comes behind them could not be looked at."""


class Asked(Protocol):
    """As much of a request as parameters are in, but for its path."""

    @property
    def query_string(self) -> str | None:
        """What follows the "?", as sent; None without one."""

    def header(self, name: str) -> str | None:
        """The combined value of a header (lower case), or None."""

    def cookie(self, name: str) -> str | None:
        """The value of a cookie, or None."""


class Parameters:
    """The parameters of one operation."""

    __slots__ = ("_checks", "_reads_query")

    def __init__(self, parameters: Iterable[Parameter], *, later: bool = False) -> None:
        self._checks = tuple(_Check(each, later=later) for each in parameters if each.schema or each.required)
        self._reads_query = any(each.place == "query" for each in self._checks)

    def faults(self, request: Asked, path: Mapping[str, str]) -> list[Fault]:
        """What is wrong with them; `path` has the values of the names in the path."""
        found: list[Fault] = []
        try:
            query: Values = split_query(request.query_string) if self._reads_query and request.query_string else {}
        except ValueError as error:
            return [Fault("query", str(error))]
        for each in self._checks:
            fault = each.faults(request, path, query)
            if fault:
                found += fault
        return found


class _Check:
    """One parameter."""

    __slots__ = ("_find", "_parameter", "_read", "_schema", "_single", "place")

    def __init__(self, parameter: Parameter, *, later: bool) -> None:
        self._parameter = parameter
        self.place = parameter.place
        self._schema = Schema(parameter.schema, later=later) if parameter.schema else None
        self._read = _reader(parameter)
        self._find = _FINDERS[parameter.place]
        self._single = _single(self._read)

    def faults(self, request: Asked, path: Mapping[str, str], query: Values) -> list[Fault]:
        parameter = self._parameter
        shown = self._find(parameter.name, request, path, query)
        if shown is None and parameter.place == "query" and parameter.style in ("deep", "form"):
            shown = _spread(parameter, query, self._read)
        if shown is None:
            return [Fault(parameter.place, "is missing", parameter.name)] if parameter.required else []
        schema = self._schema
        if schema is None or (parameter.empty and shown in ("", [""])):
            return []
        if self._single is not None and not isinstance(shown, dict):
            text = shown if isinstance(shown, str) else shown[0] if len(shown) == 1 else None
            if text is not None and schema.takes(self._single(_plain(text, parameter.place))):
                return []
        try:
            values = self._read.values(shown)
        except ValueError as error:
            return [Fault(parameter.place, str(error), parameter.name)]
        if any(map(schema.takes, values)):
            return []
        return schema.faults(values[0], parameter.place, parameter.name)


class _Reader:
    """How the texts of a parameter become a value. `kinds` are those of JSON that its schema may have."""

    def __init__(self, parameter: Parameter) -> None:
        root = msgspec.json.decode(parameter.schema) if parameter.schema else {}
        self._parameter = parameter
        parts = list(members(root, root))
        self.kinds = _kinds(parts)
        items = [each["items"] for each in parts if isinstance(each.get("items"), dict)]
        self._items = _kinds([each for item in items for each in members(item, root)])
        self.properties: dict[str, frozenset[str]] = {}
        for each in parts:
            for name, one in each.get("properties", {}).items():
                inner = list(members(one, root)) if isinstance(one, dict) else []
                self.properties[name] = self.properties.get(name, frozenset()) | _kinds(inner)

    def values(self, shown: Any) -> list[Any]:
        """What the texts may mean, the likeliest first. Raises ValueError."""
        parameter = self._parameter
        if isinstance(shown, dict):
            return [{name: self._member(name, text) for name, text in shown.items()}]
        texts = [shown] if isinstance(shown, str) else shown
        if "array" in self.kinds:
            if not (parameter.explode and parameter.style == "form"):
                texts = [part for text in texts for part in _split(text, parameter.style)]
            return [[_value(_plain(text, parameter.place), self._items) for text in texts]]
        if "object" in self.kinds:
            return [self._object(texts[0])]
        if len(texts) > 1 and parameter.style == "form":
            raise ValueError("is there more than once")
        return _candidates(_plain(texts[0], parameter.place), self.kinds)

    def _object(self, text: str) -> dict[str, Any]:
        parameter = self._parameter
        parts = _split(text, parameter.style)
        if parameter.explode:
            pairs = [part.partition("=")[::2] for part in parts]
        elif len(parts) % 2:
            raise ValueError("has a name without a value")
        else:
            pairs = list(zip(parts[::2], parts[1::2], strict=True))
        return {
            name: self._member(name, _plain(value, parameter.place))
            for name, value in ((_plain(name, parameter.place), value) for name, value in pairs)
        }

    def _member(self, name: str, text: str) -> Any:
        return _value(text, self.properties.get(name, frozenset()))


class _Document:
    """The same for a parameter that is a document of JSON."""

    properties: Mapping[str, frozenset[str]] = {}
    kinds: frozenset[str] = frozenset()

    def __init__(self, place: str) -> None:
        self._place = place

    def values(self, shown: Any) -> list[Any]:
        """The document. Raises ValueError where it is none."""
        text = shown if isinstance(shown, str) else shown[0]
        value = decode(_plain(text, self._place).encode("utf-8", "surrogateescape"))
        if is_deeper(value, SHALLOW):
            raise ValueError(f"is nested more than {SHALLOW} deep")
        return [value]


def split_query(query: str) -> dict[str, list[str]]:
    """The parts of a query by decoded name, their values as they came. Raises ValueError for too many."""
    found: dict[str, list[str]] = {}
    parts = query.split("&", MOST_VALUES)
    if len(parts) > MOST_VALUES:
        raise ValueError(f"has more than {MOST_VALUES} parameters")
    for part in parts:
        name, _, value = part.partition("=")
        if part:
            name = unquote_plus(name) if "%" in name or "+" in name else name
            found.setdefault(name, []).append(value)
    return found


def _reader(parameter: Parameter) -> _Reader | _Document:
    return _Document(parameter.place) if parameter.style == "json" else _Reader(parameter)


def _single(reader: _Reader | _Document) -> Callable[[str], Any] | None:
    """How the text of a single value is read, the likeliest way; None for what may be several."""
    kinds = reader.kinds
    if isinstance(reader, _Document) or kinds & {"array", "object"}:
        return None
    return str if kinds == {"string"} else lambda text: _value(text, kinds)


def _in_path(name: str, _request: Asked, path: Mapping[str, str], _query: Values) -> Any:
    return path.get(name)


def _in_query(name: str, _request: Asked, _path: Mapping[str, str], query: Values) -> Any:
    return query.get(name)


def _in_head(name: str, request: Asked, _path: Mapping[str, str], _query: Values) -> Any:
    return request.header(name)


def _in_cookie(name: str, request: Asked, _path: Mapping[str, str], _query: Values) -> Any:
    return request.cookie(name)


_FINDERS: Final[dict[str, Callable[[str, Asked, Mapping[str, str], Values], Any]]] = {
    "path": _in_path,
    "query": _in_query,
    "header": _in_head,
    "cookie": _in_cookie,
}


def _spread(parameter: Parameter, query: Values, reader: _Reader | _Document) -> dict[str, str] | None:
    """An object whose members are parameters of their own: `filter[color]=red` deep, `color=red` in a form."""
    found: dict[str, str] = {}
    if parameter.style == "deep":
        for key, values in query.items():
            if key.startswith(f"{parameter.name}[") and key.endswith("]"):
                found[key[len(parameter.name) + 1 : -1]] = unquote_plus(values[0])
    elif parameter.explode and "object" in reader.kinds:
        found = {name: unquote_plus(query[name][0]) for name in reader.properties if name in query}
    return found or None


def _split(text: str, style: str) -> list[str]:
    between = _BETWEEN.get(style, ",")
    if text == "":
        return []
    return text.split(between) if isinstance(between, str) else between.split(text)


def _plain(text: str, place: str) -> str:
    """The text as it was before it stood in a query. Those of a path are decoded already."""
    if place == "query":
        return unquote_plus(text) if "%" in text or "+" in text else text
    return unquote(text) if place == "cookie" else text


def _kinds(parts: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    found: set[str] = set()
    for each in parts:
        said = each.get("type")
        found |= {said} if isinstance(said, str) else set(said or ())
        found |= {_NAMES[type(one)] for one in (*each.get("enum", ()), each.get("const")) if one is not None}
    return frozenset(found)


_NAMES: Final = {str: "string", int: "integer", float: "number", bool: "boolean", list: "array", dict: "object"}


def _candidates(text: str, kinds: frozenset[str]) -> list[Any]:
    """What a text may mean: a number where numbers may be, a text where texts may be."""
    value = _value(text, kinds)
    return [value, text] if not isinstance(value, str) and (not kinds or "string" in kinds) else [value]


def _value(text: str, kinds: frozenset[str]) -> Any:
    if ("integer" in kinds or "number" in kinds) and _INTEGER.fullmatch(text):
        return int(text)
    if "number" in kinds and _NUMBER.fullmatch(text):
        return float(text)
    if "boolean" in kinds and text in _BOOLEANS:
        return _BOOLEANS[text]
    return None if "null" in kinds and text == "" and "string" not in kinds else text
