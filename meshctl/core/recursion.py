"""Does a JSON Schema lead back to itself in several ways at once? Then each level of a value that it is asked about
multiplies the work, and a value of a few dozen levels would take for ever. Pure.

    Node: anyOf: [{ properties: { left: Node } }, { properties: { right: Node } }]    one way to each part of a value
    Node: anyOf: [{ items: Node, maxItems: 1 }, { items: Node, minItems: 1 }]         two ways to each item
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

_ANY, _ITEM, _SAME = "*", "#", ""
"""Any member of an object, any item of a list, and the value itself; members with names have a mark before them."""
_WHOLE: Final = ("allOf", "anyOf", "oneOf")
_PARTS: Final = ("not", "if", "then", "else")
_EACH: Final = {
    "additionalProperties": _ANY,
    "unevaluatedProperties": _ANY,
    "items": _ITEM,
    "additionalItems": _ITEM,
    "contains": _ITEM,
    "unevaluatedItems": _ITEM,
}
_PREFIX: Final = "$defs/"


def multiplies(schema: Any) -> bool:
    """Whether a schema, with all that it refers to in its `$defs`, is such a one."""
    definitions = schema.get("$defs", {}) if isinstance(schema, dict) else {}
    reached = {name: _referred(each) for name, each in definitions.items()}
    for _ in reached:
        grown = {name: names.union(*(reached.get(each, ()) for each in names)) for name, names in reached.items()}
        if grown == reached:
            break
        reached = grown
    return any(
        name in reached[name] and _most(_ways(each, name, definitions, reached, frozenset())) > 1
        for name, each in definitions.items()
    )


def _referred(value: Any) -> frozenset[str]:
    """The definitions that a schema names, itself or within."""
    found: set[str] = set()
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            ref = each.get("$ref")
            if isinstance(ref, str):
                found.add(ref.rpartition(_PREFIX)[2])
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
    return frozenset(found)


def _ways(
    schema: Any, goal: str, definitions: dict[str, Any], reached: dict[str, frozenset[str]], seen: frozenset[str]
) -> Counter[str]:
    """How often `goal` is asked about each part of a value, where the schema is asked about the value."""

    def ways(each: Any) -> Counter[str]:
        return _ways(each, goal, definitions, reached, seen)

    def within(each: Any) -> int:
        inner = ways(each)
        return inner[_SAME] + _most(inner)

    found: Counter[str] = Counter()
    if not isinstance(schema, dict):
        return found
    ref = schema.get("$ref")
    name = ref.rpartition(_PREFIX)[2] if isinstance(ref, str) else ""
    if name == goal:
        found[_SAME] += 1
    elif name in definitions and name not in seen and goal in reached[name]:
        found += _ways(definitions[name], goal, definitions, reached, seen | {name})
    same = [each for key in _WHOLE for each in schema.get(key, ())] + [schema.get(key) for key in _PARTS]
    for each in (*same, *schema.get("dependentSchemas", {}).values()):
        found += ways(each)
    for member, each in schema.get("properties", {}).items():
        found[f".{member}"] += within(each)
    found[_ANY] += sum(map(within, schema.get("patternProperties", {}).values()))
    for key, part in _EACH.items():
        each = schema.get(key)
        listed = each if isinstance(each, list) else [each]
        found[part] += max(map(within, listed), default=0)
    found[_ITEM] += max(map(within, schema.get("prefixItems", ())), default=0)
    return found


def _most(ways: Counter[str]) -> int:
    members = max((count for part, count in ways.items() if part.startswith(".")), default=0)
    return max(ways[_ANY] + members, ways[_ITEM])
