"""Schemas that lead back to themselves."""

from __future__ import annotations

from typing import Any

import pytest

from meshctl.core.recursion import multiplies

NODE: Any = {"$ref": "#/$defs/node"}
OTHER: Any = {"$ref": "#/$defs/other"}


def schema(node: Any, **others: Any) -> Any:
    """A schema with a definition `node`."""
    return {"$ref": "#/$defs/node", "$defs": {"node": node, **others}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, False),
        (True, False),
        (schema({"items": NODE}), False),
        (schema({"properties": {"left": NODE, "right": NODE}}), False),
        (schema({"properties": {"a": NODE}, "additionalProperties": {"type": "null"}}), False),
        (schema({"anyOf": [{"properties": {"and": {"items": NODE}}}, {"properties": {"or": {"items": NODE}}}]}), False),
        (schema({"anyOf": [{"items": NODE}, {"properties": {"not": NODE}}]}), False),
        (schema({"items": OTHER}, other={"anyOf": [{"items": NODE}, {"type": "null"}]}), False),
        (schema({"anyOf": [{"items": OTHER}, {"items": OTHER}]}, other={"type": "null"}), False),
        (schema({"anyOf": [{"items": NODE, "maxItems": 1}, {"items": NODE}]}), True),
        (schema({"oneOf": [{"properties": {"a": NODE}}, {"additionalProperties": NODE}]}), True),
        (schema({"allOf": [{"items": NODE}], "contains": NODE}), True),
        (schema({"patternProperties": {"a": NODE, "b": NODE}}), True),
        (schema({"items": OTHER}, other={"anyOf": [{"items": NODE}, {"items": NODE}]}), True),
        (schema({"anyOf": [OTHER, {"items": NODE}]}, other={"items": NODE}), True),
        (schema({"items": {"anyOf": [NODE, {"items": NODE}, NODE]}}), True),
        (schema({"items": {"anyOf": [NODE, NODE]}}), True),
        (schema({"items": {"anyOf": [NODE, {"type": "null"}]}}), False),
        (schema({"items": {"allOf": [OTHER, NODE]}}, other={"$ref": "#/$defs/node"}), True),
        (schema({"not": {"items": NODE}, "items": NODE}), True),
        (schema(NODE), False),
        (
            {
                "$defs": {
                    f"n{at}": {"properties": {f"{to}": {"$ref": f"#/$defs/n{min(400, at + to)}"} for to in (1, 2, 3)}}
                    for at in range(401)
                }
            },
            False,
        ),
        (
            {
                "$defs": {
                    f"n{at}": {"properties": {f"{to}": {"$ref": f"#/$defs/n{at * to % 307}"} for to in range(1, 9)}}
                    for at in range(307)
                }
            },
            True,
        ),
    ],
)
def test_ways_back(given: Any, expected: bool) -> None:
    """Several ways to the same part of a value are seen, ways to different parts are not mistaken for these, but for
    those of schemas that are too much to look at."""
    assert multiplies(given) is expected
