"""How answers become one document, and what it means that one is missing."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.assembly import Gap, assembled, cycle, merged, missing, whole_status

# No test depends on how fast a busy machine makes examples.
names = st.sampled_from(["a", "b", "c"])
plain = st.sampled_from([None, True, 1, "x", [], [1, {"a": 2}]])
deep = st.dictionaries(names, plain | st.dictionaries(names, plain, max_size=2), max_size=2)
documents = plain | deep
objects = st.dictionaries(names, documents, max_size=3)


@pytest.mark.parametrize(
    ("below", "above", "expected"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}),
        ({"a": {"x": {"p": 1, "q": 2}}}, {"a": {"x": {"q": 3}}}, {"a": {"x": {"p": 1, "q": 3}}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"x": 1}}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": 1}, {"a": None}, {"a": None}),
    ],
)
def test_merged(below: Any, above: Any, expected: Any) -> None:
    """Objects are merged member by member; of anything else the later one holds."""
    assert merged(below, above) == expected


@given(objects, objects)
def test_the_laws_of_merging(below: dict[str, Any], above: dict[str, Any]) -> None:
    """Nothing changes nothing, the same again changes nothing, nothing of the later one is lost, no member is, and what
    has no name in common can come in any order. Neither of the two is changed."""
    before = repr((below, above))
    both = merged(below, above)
    assert merged(below, {}) == merged({}, below) == merged(below, below) == below
    assert merged(both, above) == both
    assert below.keys() | above.keys() == both.keys()
    for name in below.keys() - above.keys():
        assert both[name] == below[name]
    if not below.keys() & above.keys():
        assert merged(above, below) == both
    assert repr((below, above)) == before


@given(st.lists(st.tuples(names, documents), max_size=5, unique_by=lambda each: each[0]))
def test_groups_keep_parts_apart(parts: list[tuple[str, Any]]) -> None:
    """What each part contributes under a name of its own is there as it was."""
    assert assembled(parts) == dict(parts)


def test_groups_that_are_shared() -> None:
    """Parts of the same group are merged in it, and those of none into the result."""
    parts = [("", {"id": 1, "a": {"x": 1}}), ("a", {"y": 2}), ("a", {"x": 3}), ("", {"id": 2})]
    assert assembled(parts) == {"id": 2, "a": {"x": 3, "y": 2}}


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        ({}, ()),
        ({"a": [], "b": ["a"], "c": ["a", "b"]}, ()),
        ({"a": ["a"]}, ("a", "a")),
        ({"a": ["b"], "b": ["a"]}, ("a", "b", "a")),
        ({"x": [], "a": ["b", "x"], "b": ["c"], "c": ["a"]}, ("a", "b", "c", "a")),
    ],
)
def test_circles(needs: dict[str, list[str]], expected: tuple[str, ...]) -> None:
    """Parts that need each other are found, in the order in which they do."""
    found = cycle(needs)
    assert len(found) == len(expected)
    assert set(found) == set(expected)
    assert all(after in needs[before] for before, after in pairwise(found))


@pytest.mark.parametrize(
    ("status", "expected"),
    [(401, 401), (403, 403), (404, 404), (429, 429), (503, 503), (504, 504),
     (500, 502), (502, 502), (301, 502), (304, 502), (405, 502), (415, 502), (200, 502)],
)  # fmt: skip
def test_the_status_of_the_whole(status: int, expected: int) -> None:
    """What is about the request or about waiting is said of the whole, too; what is about how it was asked is not."""
    assert whole_status(status) == expected


def test_what_is_missing() -> None:
    """Each is named with why, and whether something stands in its place."""
    assert missing([Gap("a", "status_404"), Gap("b", "x", True)]) == "a;reason=status_404, b;reason=x;default"
