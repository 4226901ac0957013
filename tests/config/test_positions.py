"""Key path → place, in every way TOML lets a key be written."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.config.positions import Positions
from meshctl.config.problems import Path

TEXT = """\
top = 1
dotted.a.b = 2
[table]
"quoted key" = 1
'literal' = { inner = [1, { deep = 2 }], "a.b" = 3 }
x = [ # a comment
  "one", # another

  "two",
] # and a third
[table.sub."dotted.name"]
y = 1
[[list]]
z = 1
[list.sub]
w = 1
[[list]]
"\\u007a" = 2
[[list.inner]]
v = 1
[[list.inner]]
v = 2
"""


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("top",), (1, 1)),
        (("dotted", "a", "b"), (2, 10)),
        (("table",), (3, 2)),
        (("table", "quoted key"), (4, 1)),
        (("table", "literal"), (5, 1)),
        (("table", "literal", "inner", 0), (5, 24)),
        (("table", "literal", "inner", 1, "deep"), (5, 29)),
        (("table", "literal", "a.b"), (5, 42)),
        (("table", "x", 0), (7, 3)),
        (("table", "x", 1), (9, 3)),
        (("table", "sub", "dotted.name"), (11, 12)),
        (("table", "sub", "dotted.name", "y"), (12, 1)),
        (("list", 0), (13, 3)),
        (("list", 0, "sub", "w"), (16, 1)),
        (("list", 1), (17, 3)),
        (("list", 1, "z"), (18, 1)),
        (("list", 1, "inner", 0, "v"), (20, 1)),
        (("list", 1, "inner", 1, "v"), (22, 1)),
    ],
)
def test_places(path: Path, place: tuple[int, int]) -> None:
    """Every key is found where it is written."""
    assert place == Positions(TEXT).of(path) == Positions(TEXT).exact(path)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("table", "missing"), (3, 2)),
        (("list", 1, "missing", "deeper"), (17, 3)),
        (("list", 7), (13, 3)),
        (("nowhere",), (1, 1)),
        ((), (1, 1)),
    ],
)
def test_missing_keys(path: Path, place: tuple[int, int]) -> None:
    """A key that is not there has the place of the nearest table around it, and no exact one."""
    assert place == Positions(TEXT).of(path)
    assert Positions(TEXT).exact(path) is None


def test_an_explicit_header_is_nearer_than_an_implied_one() -> None:
    """A table's place is its own header, though another header named it in passing before."""
    assert Positions("[a.b]\nx = 1\n[  a]\n").of(("a",)) == (3, 4)


def test_windows_lines_and_wide_characters() -> None:
    """Lines end with CRLF as well, and a column counts characters."""
    assert Positions('[a]\r\nb = { "ü€😀" = 1, c = 2 }\r\n').of(("a", "b", "c")) == (2, 18)


keys = st.text(st.sampled_from("abü. \"'\\\n"), max_size=4)
values = st.recursive(
    st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(keys, values, max_size=5))
def test_every_key_of_any_document_has_a_place(document: dict[str, Any]) -> None:
    """Whatever is written, each key's exact place is known and its own text stands there."""
    import tomli_w

    text = tomli_w.dumps(document)
    positions = Positions(text)
    lines = text.split("\n")
    for path in _keys((), tomllib.loads(text)):
        place = positions.exact(path)
        assert place is not None, path
        line, column = place
        written = lines[line - 1][column - 1 :]
        bare = str(path[-1])
        assert written.startswith((bare or '""', '"', "'")), (path, written)


def _keys(path: Path, value: Any) -> list[Path]:
    if isinstance(value, dict):
        return [found for key, each in value.items() for found in ((*path, key), *_keys((*path, key), each))]
    if isinstance(value, list):
        return [found for number, each in enumerate(value) for found in _keys((*path, number), each)]
    return []
