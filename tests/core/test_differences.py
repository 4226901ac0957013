"""What differs between two answers: what is told of it, what is left out, and what nobody sees."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.differences import HIDDEN, MOST, MOST_VALUES, TooMuch, differences
from meshctl.core.json_path import parse
from meshctl.model.steering import Difference, Shown

JSON = {"content-type": "application/json; charset=utf-8"}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def shown(document: Any, **settings: Any) -> Shown:
    """An answer with a JSON body."""
    return Shown(settings.get("status", 200), JSON, json.dumps(document).encode())


def told(ours: Any, theirs: Any, *ignore: str) -> list[tuple[str, str, str]]:
    """The differences of two documents."""
    found = differences(shown(ours), shown(theirs), [parse(each) for each in ignore])
    return [(each.what, each.original, each.copy) for each in found]


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": 1}, {"a": True}, [("$.a", "1", "true")]),
        ({"a": 1}, {"a": 2}, [("$.a", "1", "2")]),
        ({"a": 1}, {}, [("$.a", "1", "(not there)")]),
        ({}, {"a": None}, [("$.a", "(not there)", "null")]),
        ([1, 2, 3], [1, 3], [("$[1]", "2", "3"), ("$[2]", "3", "(not there)")]),
        ({"a": {"x": 1}}, {"a": [1]}, [("$.a", "(an object of 1)", "(an array of 1)")]),
        ({"a b": "x"}, {"a b": "y"}, [("$['a b']", '"x"', '"y"')]),
        (1, 2, [("$", "1", "2")]),
        ({"a": "x" * 99}, {"a": ""}, [("$.a", '"' + "x" * 58 + "…", '""')]),
    ],
)
def test_documents(ours: Any, theirs: Any, expected: list[tuple[str, str, str]]) -> None:
    """JSON is compared by what it says, and a difference is told with its place and both values."""
    assert told(ours, theirs) == expected


def test_ignored() -> None:
    """What may differ is left out wherever it is, with all that it holds; everything else is not."""
    ours = {"at": 1, "items": [{"id": 1, "at": 2}, {"id": 2, "meta": {"x": 1}}]}
    theirs = {"at": 9, "items": [{"id": 1, "at": 8}, {"id": 3, "meta": {"y": 2}}]}
    assert told(ours, theirs, "$..at", "$.items[*].meta") == [("$.items[1].id", "2", "3")]


@given(VALUES)
def test_same(document: Any) -> None:
    """A document does not differ from itself, however it is written."""
    ours = Shown(200, JSON, json.dumps(document).encode())
    theirs = Shown(200, JSON, json.dumps(document, indent=1, ensure_ascii=False).encode())
    assert differences(ours, theirs) == ()


@given(VALUES, VALUES)
def test_both_ways(ours: Any, theirs: Any) -> None:
    """Documents that are not equal differ in something, whichever comes first."""
    there, back = told(ours, theirs), told(theirs, ours)
    assert bool(there) == bool(back)
    assert bool(there) == (json.dumps(ours, sort_keys=True) != json.dumps(theirs, sort_keys=True))


def test_status_and_fields() -> None:
    """Status and fields are compared before the body, each by itself."""
    found = differences(Shown(200, {"x-a": "1"}, b"ok"), Shown(500, {"content-type": "text/plain"}, b"no"))
    assert found == (
        Difference("status", "200", "500"),
        Difference("content-type", "", "text/plain"),
        Difference("x-a", "1", ""),
        Difference("body", "2 bytes: ok", "2 bytes: no"),
    )


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b'{"a": "\xff"}', b"[" * 100_000, b""])
def test_no_json(body: bytes) -> None:
    """A body that only says that it is JSON is compared by its bytes."""
    (found,) = differences(Shown(200, JSON, b"{}"), Shown(200, JSON, body))
    assert found.what == "body"
    assert found.copy.startswith(f"{len(body)} bytes")


def test_secrets() -> None:
    """That a secret differs is told; what it is, is not."""
    fields = {"set-cookie": "a=1", "authorization": "Basic x", "x-api-key": "k"}
    found = differences(Shown(200, fields, b""), Shown(200, dict.fromkeys(fields, "other"), b""))
    assert [(each.original, each.copy) for each in found] == [(HIDDEN, HIDDEN)] * 3
    assert told({"user": {"password": "a"}}, {"user": {"password": "b"}}) == [("$.user.password", HIDDEN, HIDDEN)]
    assert told({"session": {"id": "a"}}, {"session": {"id": "b"}}) == [("$.session.id", HIDDEN, HIDDEN)]
    (found_text,) = differences(Shown(200, {}, b"token=abc"), Shown(200, {}, b"none"))
    assert "abc" not in found_text.original


def test_few() -> None:
    """Of many differences the first few are told."""
    assert len(told(list(range(100)), list(range(1, 101)))) == MOST


def test_much() -> None:
    """A comparison of more values than are looked at says so, unless it has found something before."""
    many = list(range(MOST_VALUES + 1))
    with pytest.raises(TooMuch):
        told(many, [*many[:-1], 0])
    assert told([0, *many], [1, *many]) == [("$[0]", "0", "1")]
