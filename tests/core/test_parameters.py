"""Parameters of requests, by the styles of OpenAPI."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.parameters import MOST_VALUES, Parameters, split_query
from meshctl.model.checked import Parameter
from meshctl.wire.message import Request

INTEGERS = {"type": "array", "items": {"type": "integer"}, "maxItems": 3}
COLOURS = {
    "type": "object",
    "properties": {"r": {"type": "integer"}, "name": {"type": "string"}},
    "additionalProperties": False,
}


def asked(query: str | None = None, *, fields: dict[str, str] | None = None) -> Request:
    """A request with this query and these headers."""
    request = Request([f"{name}: {value}".encode("latin-1") for name, value in (fields or {}).items()], {})
    request.query_string = query
    return request


def one(schema: Any, place: str = "query", **settings: Any) -> Parameter:
    """A parameter called p."""
    usual: dict[str, Any] = {"style": "form", "explode": True} if place in ("query", "cookie") else {}
    return Parameter("p", place, json.dumps(schema), **usual | settings)  # type: ignore[arg-type]


def faults(parameter: Parameter, request: Request, **path: str) -> list[tuple[str, str]]:
    """Where and what is wrong."""
    found = Parameters((parameter,)).faults(request, path)
    assert all((each.place, each.name) == (parameter.place, parameter.name) for each in found)
    return [(each.pointer, each.detail) for each in found]


@pytest.mark.parametrize(
    ("schema", "query", "expected"),
    [
        ({"type": "integer"}, "p=7", []),
        ({"type": "integer"}, "p=-7", []),
        ({"type": "integer", "maximum": 5}, "p=7", [("", "is more than 5")]),
        ({"type": "integer"}, "p=7.5", [("", "is not an integer")]),
        ({"type": "integer"}, "p=", [("", "is not an integer")]),
        ({"type": "integer"}, "p=1e2", [("", "is not an integer")]),
        ({"type": "integer"}, "p=" + "9" * 5000, [("", "is not an integer")]),
        ({"type": "number"}, "p=1e2", []),
        ({"type": "number"}, "p=NaN", [("", "is not a number")]),
        ({"type": "number"}, "p=1e999", [("", "is not a number")]),
        ({"type": "boolean"}, "p=true", []),
        ({"type": "boolean"}, "p=1", [("", "is not a boolean")]),
        ({"type": "string", "maxLength": 2}, "p=12", []),
        ({"type": "string", "pattern": "^é&$"}, "p=%C3%A9%26", []),
        ({"type": "string", "pattern": "^a b$"}, "p=a+b", []),
        ({"type": ["integer", "string"], "pattern": "^[0-9]{3}$"}, "p=007", []),
        ({"anyOf": [{"type": "integer"}, {"const": "all"}]}, "p=all", []),
        ({"anyOf": [{"type": "integer"}, {"const": "all"}]}, "p=7", []),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}}, "p=7", []),
        ({"enum": [1, 2]}, "p=2", []),
        ({"enum": [1, 2]}, "p=3", [("", "is not one of 1, 2")]),
        ({"minLength": 1}, "p=7", []),
        ({"type": "integer"}, "p=1&p=2", [("", "is there more than once")]),
        ({"type": "integer"}, "q=x", []),
        ({"type": "integer"}, None, []),
    ],
)
def test_single_values(schema: Any, query: str | None, expected: list[tuple[str, str]]) -> None:
    """A text is the kind of value that its schema asks for, if it can be; what is not known of passes."""
    assert faults(one(schema), asked(query)) == expected


@pytest.mark.parametrize(
    ("settings", "query", "expected"),
    [
        ({}, "p=1&p=2", []),
        ({}, "p=1", []),
        ({}, "p=1&p=x", [("#/1", "is not an integer")]),
        ({}, "p=1,2", [("#/0", "is not an integer")]),
        ({}, "p=1&p=2&p=3&p=4", [("", "has more than 3 items")]),
        ({"explode": False}, "p=1,2", []),
        ({"explode": False}, "p=1,x", [("#/1", "is not an integer")]),
        ({"explode": False, "style": "space"}, "p=1%202+3", []),
        ({"explode": False, "style": "pipe"}, "p=1|2%7C3", []),
        ({"explode": False, "style": "pipe"}, "p=1|x", [("#/1", "is not an integer")]),
    ],
)
def test_arrays(settings: dict[str, Any], query: str, expected: list[tuple[str, str]]) -> None:
    """Several values stand in one text, or each in its own."""
    assert faults(one(INTEGERS, **settings), asked(query)) == expected


@pytest.mark.parametrize(
    ("settings", "query", "expected"),
    [
        ({"style": "deep"}, "p[r]=1&p[name]=x", []),
        ({"style": "deep"}, "p%5Br%5D=x", [("#/r", "is not an integer")]),
        ({"style": "deep"}, "p[z]=1", [("", 'has what is not known: "z"')]),
        ({}, "r=1&name=x&other=2", []),
        ({}, "r=x", [("#/r", "is not an integer")]),
        ({"explode": False}, "p=r,1,name,x", []),
        ({"explode": False}, "p=r,x", [("#/r", "is not an integer")]),
        ({"explode": False}, "p=r", [("", "has a name without a value")]),
        ({"style": "json"}, "p=%7B%22r%22%3A1%7D", []),
        ({"style": "json"}, "p=%7B%22r%22%3A%22x%22%7D", [("#/r", "is not an integer")]),
        ({"style": "json"}, f"p={'[' * 40}{']' * 40}", [("", "is nested more than 12 deep")]),
        ({"style": "json"}, "p=%7B", [("", "is not JSON at line 1, column 2")]),
    ],
)
def test_objects(settings: dict[str, Any], query: str, expected: list[tuple[str, str]]) -> None:
    """Objects are spread over parameters, or stand in one."""
    assert faults(one(COLOURS, **settings), asked(query)) == expected


def test_other_places() -> None:
    """Paths, headers and cookies have parameters, too."""
    assert faults(one({"type": "integer"}, "path"), asked(), p="7") == []
    assert faults(one({"type": "integer"}, "path"), asked(), p="x") == [("", "is not an integer")]
    assert faults(one(INTEGERS, "path"), asked(), p="1,x") == [("#/1", "is not an integer")]
    assert faults(one(INTEGERS, "header"), asked(fields={"P": "1,2"})) == []
    assert faults(one(INTEGERS, "header"), asked(fields={"P": "1,x"})) == [("#/1", "is not an integer")]
    assert faults(one(COLOURS, "header", explode=True), asked(fields={"P": "r=x"})) == [("#/r", "is not an integer")]
    cookie = one({"type": "integer"}, "cookie")
    assert [faults(cookie, asked(fields={"Cookie": f"a=1; p={value}"})) for value in ("7", "x")] == [
        [],
        [("", "is not an integer")],
    ]


@pytest.mark.parametrize("place", ["query", "header", "cookie"])
def test_what_is_needed(place: str) -> None:
    """What is required must be there, whatever it is."""
    assert faults(Parameter("p", place, required=True), asked()) == [("", "is missing")]  # type: ignore[arg-type]
    assert faults(one({}, place, required=True), asked("p=", fields={"P": "", "Cookie": "p="})) == []


def test_empty_values() -> None:
    """A parameter that may be empty is not looked at where it is."""
    assert faults(one({"type": "integer"}, empty=True), asked("p=")) == []
    assert faults(one({"type": "integer"}, empty=True), asked("p=x")) == [("", "is not an integer")]


def test_a_long_query() -> None:
    """A query may have a bounded number of parameters: nothing hides behind the last one that is read."""
    query = "&".join(f"{n}={n}" for n in range(MOST_VALUES))
    assert len(split_query(query)) == MOST_VALUES
    found = Parameters((one({"type": "integer"}),)).faults(asked(f"{query}&p=x"), {})
    assert [(each.place, each.detail) for each in found] == [("query", "has more than 1000 parameters")]


@given(st.text(max_size=20), st.sampled_from(["form", "space", "pipe", "deep", "json"]), st.booleans())
def test_any_text(text: str, style: str, explode: bool) -> None:
    """Nothing that can stand in a query breaks it, and no value is repeated."""
    from urllib.parse import quote

    for schema in ({"type": "integer"}, INTEGERS, COLOURS):
        for query in (f"p={quote(text)}", f"p={text}", f"p[{text}]={text}"):
            found = faults(one(schema, style=style, explode=explode), asked(query))
            assert all(len(pointer) < 200 and len(detail) < 700 for pointer, detail in found)
