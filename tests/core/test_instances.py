"""What is wrong with a value, by a JSON Schema."""

from __future__ import annotations

import json
import warnings
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshctl.core.instances import MOST, NotASchema, Schema, fragment

ORDER: dict[str, Any] = {
    "type": "object",
    "required": ["id", "items"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "kind": {"enum": ["new", 2]},
        "note": {"type": ["string", "null"], "minLength": 2, "pattern": "^[a-z]+$"},
        "items": {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"$ref": "#/$defs/item"}},
        "hidden": False,
    },
    "$defs": {"item": {"type": "object", "required": ["sku"], "properties": {"n": {"exclusiveMinimum": 0}}}},
}
GOOD: dict[str, Any] = {"id": 1, "items": [{"sku": 1}]}


def faults(schema: Any, value: Any, **options: Any) -> list[tuple[str, str]]:
    """Where and what is wrong."""
    return [(each.pointer, each.detail) for each in Schema(json.dumps(schema)).faults(value, **options)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"id": "secret"}, [("#/id", "is not an integer")]),
        ({"id": 0}, [("#/id", "is less than 1")]),
        ({"kind": "secret"}, [("#/kind", 'is not one of "new", 2')]),
        ({"note": "X"}, [("#/note", "has less than 2 characters"), ("#/note", 'does not match "^[a-z]+$"')]),
        ({"note": 7}, [("#/note", "is not null or a string")]),
        ({"items": []}, [("#/items", "has less than 1 item")]),
        ({"items": [{"sku": 1}, {"sku": 1}]}, [("#/items", "has an item twice")]),
        ({"items": [{"sku": 1}, {"n": 0}]},
         [("#/items/1", 'lacks "sku"'), ("#/items/1/n", "is not more than 0")]),
        ({"a/b~c": 1}, [("", 'has what is not known: "a/b~c"')]),
        ({"hidden": "secret"}, [("#/hidden", "may not be sent")]),
    ],
)  # fmt: skip
def test_what_is_said(change: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    """Each fault has its place and what the schema asks there."""
    assert sorted(expected) == sorted(faults(ORDER, GOOD | change))


@pytest.mark.parametrize(
    ("schema", "value", "said"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, 1, "is none of the 2 forms that it may have"),
        ({"oneOf": [{"minimum": 1}, {"minimum": 2}]}, 3, "has more than one form at once"),
        ({"oneOf": [{"minimum": 1}, {"minimum": 2}]}, 0, "is none of the 2 forms that it may have"),
        ({"not": {"const": 1}}, 1, "is what it may not be"),
        ({"const": "x"}, "y", 'is not "x"'),
        ({"multipleOf": 0.5}, 1.2, "is no multiple of 0.5"),
        ({"type": "string", "format": "date-time"}, "now", "is no date-time"),
        ({"propertyNames": {"maxLength": 1}}, {"secret": 1}, "has a name that has more than 1 character"),
        ({"contains": {"type": "string"}}, [], "lacks an item of the kind that is needed"),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, 'lacks "b"'),
        ({"unevaluatedProperties": False}, {"a": 1}, 'has what is not known: "a"'),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "items": [True], "additionalItems": False},
         [1, 2], "has more than 1 item"),
        ({"pattern": "^(?:a|aa)+(?!b)$"}, "a" * 60 + "!", "takes too long to look at"),
    ],
)  # fmt: skip
def test_other_words(schema: Any, value: Any, said: str) -> None:
    """Every keyword has its words; a pattern that tries too much refuses what it was asked about."""
    assert [each[1] for each in faults(schema, value)] == [said]


def test_bounds() -> None:
    """Faults are bounded in number and in length, and of a value that is not small the first is told."""
    many = faults({"items": {"type": "string"}}, list(range(1000)))
    assert len(many) == MOST
    assert faults({"items": {"type": "string"}}, list(range(1000)), is_small=False) == [("#/0", "is not a string")]
    long = faults({"additionalProperties": {"type": "string"}}, {"x" * 9000: 1})
    assert len(long[0][0]) < 100
    unknown = faults({"additionalProperties": False}, {"x" * 9000 + str(n): 1 for n in range(50)})
    assert len(unknown[0][1]) < 1000


def test_pointers() -> None:
    """A place is a JSON pointer in a URI fragment."""
    assert fragment(["a/b", 0, "~", "é %"]) == "#/a~1b/0/~0/%C3%A9%20%25"


@pytest.mark.parametrize(
    ("schema", "said", "path"),
    [
        ({"properties": {"a": {"type": "strin"}}}, 'type "strin" is not known', ["properties", "a", "type"]),
        ({"pattern": "["}, "pattern is no regular expression that is known here", ["pattern"]),
        ({"minimum": "3"}, "minimum is not a number", ["minimum"]),
        ({"$ref": "http://127.0.0.1:9/x"}, "", []),
    ],
)
def test_no_schemas(schema: Any, said: str, path: list[str]) -> None:
    """What is no schema is refused with where; nothing is fetched."""
    with pytest.raises(NotASchema) as caught:
        Schema(json.dumps(schema))
    assert said in str(caught.value)
    assert caught.value.path == path


scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([0.5, 1.0, "", "a", "ab", "x1"])
jsons = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "id"]), inner, max_size=3),
    max_leaves=6,
)
kinds = st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"])
leaves = st.fixed_dictionaries(
    {},
    optional={
        "type": kinds | st.lists(kinds, min_size=1, max_size=2, unique=True),
        "minimum": st.integers(-3, 3),
        "exclusiveMaximum": st.integers(-3, 3),
        "minLength": st.integers(0, 2),
        "pattern": st.sampled_from(["^a", "[0-9]$", "^[a-z]*$"]),
        "enum": st.lists(scalars, min_size=1, max_size=3, unique_by=repr),
        "required": st.lists(st.sampled_from(["a", "b", "id"]), max_size=2, unique=True),
        "maxItems": st.integers(0, 2),
        "multipleOf": st.sampled_from([1, 2]),
    },
)
schemas = st.recursive(
    leaves,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(st.sampled_from(["a", "b", "id"]), inner, max_size=2),
            "additionalProperties": st.booleans() | inner,
            "items": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "oneOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
        },
    ),
    max_leaves=4,
)


@settings(max_examples=40)
@given(schemas, jsons)
def test_as_another_library(schema: Any, value: Any) -> None:
    """A value is taken or refused as the reference implementation does, and a refusal always says something."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = jsonschema.Draft202012Validator(schema).is_valid(value)
    made = Schema(json.dumps(schema))
    found = made.faults(value)
    assert made.takes(value) == expected == (found == [])
    assert expected == (made.faults(value, is_small=False) == [])
