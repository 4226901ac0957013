"""A JSON Schema out of documents → one text that has all it refers to and needs no document any more.

Only what decides about an instance is kept. What OpenAPI 3.0 says in words of its own becomes JSON Schema 2020-12, and
of properties that are for answers alone (`readOnly`) requests have none. Whether a schema makes sense others judge.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal

from meshctl.config.problems import quoted
from meshctl.config.sources import Broken, Place, Sources

Dialect = Literal["3.0", "3.1", "2020-12", "draft-07"]

DRAFT_7: Final = "http://json-schema.org/draft-07/schema#"
_DEEPEST: Final = 100
_MOST: Final = 50_000
"""Schemas within schemas in all: what says more is no description, or refers to itself in ever new words."""
_PLAIN: Final = (
    "type", "enum", "const", "multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "maxLength",
    "minLength", "pattern", "maxItems", "minItems", "uniqueItems", "maxContains", "minContains", "maxProperties",
    "minProperties", "required", "dependentRequired", "format",
)  # fmt: skip
_ONE: Final = (
    "additionalProperties", "additionalItems", "contains", "propertyNames", "not", "if", "then", "else", "items",
    "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
_LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAPS: Final = ("properties", "patternProperties", "dependentSchemas", "dependencies")
_UNKNOWN: Final = ("$dynamicRef", "$recursiveRef")
_BOUNDS: Final = {"int32": 2**31, "int64": 2**63}


class Schemas:
    """The schemas of these documents."""

    def __init__(self, sources: Sources, dialect: Dialect) -> None:
        self._sources = sources
        self._dialect = dialect
        self._names: dict[Place, str] = {}
        """What is referred to, by the name that it has in `$defs`."""
        self._made: dict[Place, tuple[Any, frozenset[Place]]] = {}
        self._count = 0

    def text(self, place: Place) -> str:
        """The schema at a place, as text; "" for one that everything meets. Raises Broken."""
        own, needed = self._schema(place)
        if own is True or own == {}:
            return ""
        found: dict[str, Any] = {}
        waiting = sorted(needed)
        while waiting:
            each = waiting.pop()
            name = self._names[each]
            if name not in found:
                found[name], more = self._schema(each)
                waiting += sorted(more)
        root: dict[str, Any] = {"$schema": DRAFT_7} if self._dialect == "draft-07" else {}
        root |= own if isinstance(own, dict) else {"not": {}}
        if found:
            root["$defs"] = dict(sorted(found.items()))
            if "$ref" in root and self._dialect == "draft-07":
                # There nothing beside a $ref counts.
                root["allOf"] = [{"$ref": root.pop("$ref")}]
        return json.dumps(root, separators=(",", ":"), ensure_ascii=False)

    def place_of(self, text_path: list[str | int], root: Place) -> Place:
        """Where in the documents the part of a text at `text_path` comes from, as nearly as that is known."""
        steps = list(map(str, text_path))
        if steps[:1] == ["$defs"] and len(steps) > 1:
            file, pointer = next((each for each, name in self._names.items() if name == steps[1]), root)
            return file, (*pointer, *steps[2:])
        return root[0], (*root[1], *steps)

    def _schema(self, place: Place) -> tuple[Any, frozenset[Place]]:
        if place not in self._made:
            needed: set[Place] = set()
            made = self._converted(place, self._sources.at(place), needed, frozenset(), 0)
            self._made[place] = made, frozenset(needed)
        return self._made[place]

    def _converted(self, place: Place, value: Any, needed: set[Place], answers: frozenset[str], depth: int) -> Any:
        """One schema; `answers` are the properties that other parts of it leave to answers."""
        if isinstance(value, bool):
            return value
        if not isinstance(value, dict):
            raise Broken(place, "is no schema", "an object")
        self._count += 1
        if depth > _DEEPEST or self._count > _MOST:
            raise Broken(place, "is nested too deeply" if depth > _DEEPEST else "is part of too large a document")
        for name in _UNKNOWN:
            if name in value:
                raise Broken((place[0], (*place[1], name)), f"{name} is not supported", "$ref")
        own: dict[str, Any] = {}
        if "$ref" in value:
            target = self._sources.refers((place[0], (*place[1], "$ref")), value["$ref"])
            own["$ref"] = f"#/$defs/{self._name(target)}"
            needed.add(target)
            if self._dialect in ("3.0", "draft-07"):
                return own
        own |= {key: value[key] for key in _PLAIN if key in value}
        if self._dialect == "3.0":
            _modernise(own, value)
        if self._dialect in ("3.0", "3.1"):
            answers = answers | self._for_answers(place, value)
            _without(own, answers)
            _bounded(own)
        self._parts(place, value, own, needed, answers, depth)
        return own

    def _parts(
        self, place: Place, value: Any, own: dict[str, Any], needed: set[Place], answers: frozenset[str], depth: int
    ) -> None:
        """The schemas within a schema."""

        def part(*steps: str, value: Any, answers: frozenset[str] = frozenset()) -> Any:
            return self._converted((place[0], (*place[1], *steps)), value, needed, answers, depth + 1)

        for key in _ONE:
            if key in value and not isinstance(value[key], list):
                own[key] = part(key, value=value[key])
        for key in (*_LISTS, "items"):
            each = value.get(key)
            if isinstance(each, list):
                passed = answers if key in ("allOf", "anyOf", "oneOf") else frozenset[str]()
                own[key] = [part(key, str(at), value=item, answers=passed) for at, item in enumerate(each)]
            elif each is not None and key in _LISTS:
                raise Broken((place[0], (*place[1], key)), f"{key} is no array", "an array of schemas")
        for key in _MAPS:
            each = value.get(key)
            if each is None:
                continue
            if not isinstance(each, dict):
                raise Broken((place[0], (*place[1], key)), f"{key} is no object", "an object of schemas")
            own[key] = {
                name: item
                if key == "dependencies" and isinstance(item, list)
                else False
                if key == "properties" and name in answers
                else part(key, name, value=item)
                for name, item in each.items()
            }

    def _for_answers(self, place: Place, value: dict[str, Any], depth: int = 0) -> frozenset[str]:
        """The properties of a schema, and of those that it is made of, that requests do not have."""
        found: set[str] = set()
        properties = value.get("properties")
        for name, each in properties.items() if isinstance(properties, dict) else ():
            if self._is_for_answers((place[0], (*place[1], "properties", name)), each):
                found.add(name)
        whole = value.get("allOf")
        for number in range(len(whole) if isinstance(whole, list) and depth < 10 else 0):
            at: Place = self._sources.followed((place[0], (*place[1], "allOf", str(number))))
            target = self._sources.at(at)
            if isinstance(target, dict):
                found |= self._for_answers(at, target, depth + 1)
        return frozenset(found)

    def _is_for_answers(self, place: Place, value: Any) -> bool:
        if isinstance(value, dict) and value.get("readOnly") is True:
            return True
        if not isinstance(value, dict) or "$ref" not in value:
            return False
        target = self._sources.at(self._sources.followed(place))
        return isinstance(target, dict) and target.get("readOnly") is True

    def _name(self, place: Place) -> str:
        if place not in self._names:
            last = "".join(c if c.isalnum() and c.isascii() else "_" for c in (place[1][-1:] or ("document",))[0])
            taken = set(self._names.values())
            name, number = last, 1
            while name in taken:
                number += 1
                name = f"{last}_{number}"
            self._names[place] = name
        return self._names[place]


def dialect_of(sources: Sources) -> Dialect:
    """In which dialect a JSON Schema is written. Raises Broken for one that is not known, and Wrong."""
    top = sources.top
    said = top.get("$schema") if isinstance(top, dict) else None
    if said is None or (isinstance(said, str) and "draft/2020-12/schema" in said):
        return "2020-12"
    if isinstance(said, str) and "draft-07/schema" in said:
        return "draft-07"
    known = '"https://json-schema.org/draft/2020-12/schema" or ' + quoted(DRAFT_7)
    raise Broken((sources.name, ("$schema",)), f"{quoted(said)} is not known", known)


def _modernise(own: dict[str, Any], value: dict[str, Any]) -> None:
    """What OpenAPI 3.0 says otherwise than JSON Schema."""
    for bound, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(own.get(bound), bool):
            is_exclusive = own.pop(bound)
            if is_exclusive and limit in own:
                own[bound] = own.pop(limit)
    if value.get("nullable") is True and isinstance(own.get("type"), str):
        own["type"] = [own["type"], "null"]
        if isinstance(own.get("enum"), list) and None not in own["enum"]:
            own["enum"] = [*own["enum"], None]


def _without(own: dict[str, Any], answers: frozenset[str]) -> None:
    """Nothing is required of a request that only answers have."""
    if answers and isinstance(own.get("required"), list):
        own["required"] = [name for name in own["required"] if str(name) not in answers]


def _bounded(own: dict[str, Any]) -> None:
    """An int32 has 32 bits."""
    bound = _BOUNDS.get(str(own.get("format")))
    kinds = own.get("type")
    if bound is None or "integer" not in (kinds if isinstance(kinds, list) else [kinds]):
        return
    del own["format"]
    for key, limit, choose in (("minimum", -bound, max), ("maximum", bound - 1, min)):
        said = own.get(key, limit)
        own[key] = choose(said, limit) if isinstance(said, int | float) else said
