"""JSONPaths: which places they mean, and that what is not understood is said so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.json_path import Place, means, parse, written


@pytest.mark.parametrize(
    ("path", "place", "expected"),
    [
        ("$.a", ("a",), True),
        ("$.a", ("b",), False),
        ("$.a", ("a", "b"), False),
        ("$.a.b", ("a", "b"), True),
        ("$.a[0]", ("a", 0), True),
        ("$.a[0]", ("a", 1), False),
        ("$.a[0]", ("a", "0"), False),
        ("$['0']", (0,), False),
        ("$.a[*]", ("a", 7), True),
        ("$.a.*", ("a", "x"), True),
        ("$[*].id", (3, "id"), True),
        ("$.*.id", ("x", "y", "id"), False),
        ("$..id", ("id",), True),
        ("$..id", ("a", 0, "b", "id"), True),
        ("$..id", ("a", "id", "b"), False),
        ("$..a.b", ("a", "x", "a", "b"), True),
        ("$..a..b", ("a", "x", "b"), True),
        ("$..a..b", ("b", "a"), False),
        ("$..[0]", ("x", 0), True),
        ("$..*", ("x", "y"), True),
        ("$['a b']", ("a b",), True),
        ('$["a\\"b"]', ('a"b',), True),
        ("$.größe", ("größe",), True),
        ("$.x-y_z1", ("x-y_z1",), True),
    ],
)
def test_means(path: str, place: Place, expected: bool) -> None:
    """A path means exactly the places that RFC 9535 says."""
    assert means([parse(path)], place) is expected


@pytest.mark.parametrize(
    "path",
    ["", "$", "a", ".a", "$.", "$a", "$..", "$...a", "$.a.", "$.[0]", "$[-1]", "$[1:2]", "$[?@.a]", "$[0,1]", "$.1a"],
)
def test_not_understood(path: str) -> None:
    """What is no path, or one of a kind that is not understood, is refused, not read as something else."""
    with pytest.raises(ValueError, match=r"\$"):
        parse(path)


@given(st.lists(st.text() | st.integers(0, 999_999_999), min_size=1, max_size=5).map(tuple))
def test_written(place: Place) -> None:
    """A place as it is written is a path that means it."""
    assert means([parse(written(place))], place)
