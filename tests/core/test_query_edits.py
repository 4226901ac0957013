"""Queries as they go on."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.query_edits import edited, encoded


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (None, "s=1"),
        ("", "s=1"),
        ("x=%2f+y&&flag", "x=%2f+y&&flag&s=1"),
        ("s=0&s=9&x=1", "x=1&s=1"),
        ("gone=1&go%6ee=2&x", "x&s=1"),
        ("old=a%26b&new=z&old", "new=a%26b&new&s=1"),
        ("new=z", "new=z&s=1"),
        ("to-s=5", "s=1"),
    ],
)
def test_edits(query: str | None, expected: str) -> None:
    """Parameters are found however they are written, and what is not touched stays as it was sent."""
    renamed = {"old": "new", "to-s": "s"}
    assert edited(query, renamed, {"gone", "s"}, ["s=1"]) == expected


def test_nothing_left() -> None:
    """A query of which nothing is left is none."""
    assert edited("a=1", {}, {"a"}, []) is None


@given(st.text(), st.text())
def test_values_stay_one(name: str, value: str) -> None:
    """No value ends its parameter, begins another or is read differently at the other end."""
    if all(c.isprintable() or c in "\r\n\0\t" for c in name + value):
        said = edited("a=1", {}, (), [f"{encoded(name)}={encoded(value)}"])
        assert parse_qsl(said or "", keep_blank_values=True) == [("a", "1"), (name, value)]
