"""Does a JSON Schema lead back to itself in several ways at once? Then each level of a value that it is asked about
multiplies the work, and a value of a few dozen levels would take for ever. Pure.

    Node: anyOf: [{ properties: { left: Node } }, { properties: { right: Node } }]    one way to each part of a value
    Node: anyOf: [{ items: Node, maxItems: 1 }, { items: Node, minItems: 1 }]         two ways to each item
"""

from __future__ import annotations

from typing import Any, Final

MOST: Final = 20_000
"""Schemas within schemas that are looked at; more are taken to be of the kind that multiplies."""
Ways = dict[str, int]
_ANY, _ITEM, _SAME = "*", "#", ""
"""Any member of an object, any item of a list, and the value itself; members with names have a mark before them."""
_WHOLE: Final = ("allOf", "anyOf", "oneOf")
_PARTS: Final = ("not", "if", "then", "else")
_EACH: Final = {
    "additionalProperties": _ANY,
    "unevaluatedProperties": _ANY,
    "items": _ITEM,
    "prefixItems": _ITEM,
    "additionalItems": _ITEM,
    "contains": _ITEM,
    "unevaluatedItems": _ITEM,
}


def multiplies(schema: Any) -> bool:
    """Whether a schema, with all that it refers to in its `$defs`, is such a one."""
    definitions = schema.get("$defs", {}) if isinstance(schema, dict) else {}
    ways = _Ways(_round_about(definitions))
    try:
        return any(map(ways.multiply, ways.definitions))
    except (OverflowError, RecursionError):
        return True


def _round_about(definitions: dict[str, Any]) -> dict[str, Any]:
    """The definitions that may lead back to themselves: without those that lead nowhere, or that nothing leads to,
    again and again."""
    named = {name: _referred(each) & definitions.keys() for name, each in definitions.items()}
    while dead := [name for name, names in named.items() if not names] or named.keys() - frozenset().union(
        *named.values()
    ):
        for name in dead:
            del named[name]
        named = {name: names - frozenset(dead) for name, names in named.items()}
    return {name: definitions[name] for name in named}


def _referred(value: Any) -> frozenset[str]:
    """The definitions that a schema names, itself or within."""
    found: set[str] = set()
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            found.add(_named(each))
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
    return frozenset(found)


def _named(schema: dict[str, Any]) -> str:
    ref = schema.get("$ref")
    return ref.removeprefix("#/$defs/") if isinstance(ref, str) else ""


class _Ways:
    """How often a definition is asked about each part of a value, where a schema is asked about the value."""

    def __init__(self, definitions: dict[str, Any]) -> None:
        self.definitions = definitions
        self._goal = ""
        self._known: dict[str, Ways] = {}
        self._count = 0

    def multiply(self, name: str) -> bool:
        """Whether a definition leads back to itself in several ways. Raises OverflowError where all of them are too
        much to look at."""
        self._goal = name
        self._known = {}
        return _most(self.of(self.definitions[name])) > 1

    def of(self, schema: Any) -> Ways:
        """The ways from a schema to the definition that is asked about."""
        if not isinstance(schema, dict):
            return {}
        self._count += 1
        if self._count > MOST:
            raise OverflowError
        found: Ways = {}
        for key, value in schema.items():
            if key == "$ref":
                _add(found, self._of_definition(_named(schema)))
            elif key in _WHOLE:
                for each in value:
                    _add(found, self.of(each))
            elif key in _PARTS:
                _add(found, self.of(value))
            elif key == "dependentSchemas":
                for each in value.values():
                    _add(found, self.of(each))
            elif key == "properties":
                for member, each in value.items():
                    _add(found, {f".{member}": self._within(each)})
            elif key == "patternProperties":
                _add(found, {_ANY: sum(map(self._within, value.values()))})
            elif key in _EACH:
                listed = value if isinstance(value, list) else [value]
                _add(found, {_EACH[key]: max(map(self._within, listed), default=0)})
        return found

    def _of_definition(self, name: str) -> Ways:
        if name == self._goal:
            return {_SAME: 1}
        if name not in self._known:
            # Where it leads back to itself before it leads to the goal, that is another one's affair.
            self._known[name] = {}
            self._known[name] = self.of(self.definitions.get(name))
        return self._known[name]

    def _within(self, schema: Any) -> int:
        found = self.of(schema)
        return found.get(_SAME, 0) + _most(found) if found else 0


def _add(found: Ways, more: Ways) -> None:
    for part, count in more.items():
        if count:
            found[part] = found.get(part, 0) + count


def _most(ways: Ways) -> int:
    members = max((count for part, count in ways.items() if part.startswith(".")), default=0)
    return max(ways.get(_ANY, 0) + members, ways.get(_ITEM, 0))
