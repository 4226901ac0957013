"""Cache-Control as people write it, and as they should not."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.cache_control import NOTHING, Asked, asked, directives, seconds


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("", {}),
        ("max-age=60", {"max-age": "60"}),
        ("Max-Age=60, PUBLIC", {"max-age": "60", "public": None}),
        ('max-age="60"', {"max-age": "60"}),
        ("max-age = 60 ,no-store", {"max-age": "60", "no-store": None}),
        (" ,, no-cache,,", {"no-cache": None}),
        ('private="a, no-store", max-age=1', {"private": "a, no-store", "max-age": "1"}),
        (r'x="a\", no-store", public', {"x": r"a\", no-store", "public": None}),
        # What is said twice counts where it is least, and what is no number is nothing.
        ("max-age=60, max-age=5", {"max-age": "5"}),
        ("max-age=5, max-age=60", {"max-age": "5"}),
        ("max-age=60, max-age=x", {"max-age": "x"}),
        # What cannot be read hides nothing behind it.
        (";, no-store", {"no-store": None}),
        ('"max-age=60", no-store', {"no-store": None}),
        ('a="unclosed, no-store', {"a": "", "no-store": None}),
        ("max-age=60; no-store", {"max-age": "60"}),
    ],
)
def test_directives(said: str, found: dict[str, str | None]) -> None:
    """Directives are found whatever stands around them."""
    assert directives(said) == found


@pytest.mark.parametrize(
    ("said", "found"),
    [("60", 60), ("0", 0), ("", 0), (None, 0), ("-1", 0), ("1.5", 0), ("１", 0), ("9" * 40, 2**31), ("60s", 0)],
)
def test_seconds(said: str | None, found: float) -> None:
    """A number that is none is no time at all, and one that is too great means very long."""
    assert seconds(said) == found


@given(st.text(max_size=400), st.text(st.sampled_from('ab=", ;\\'), max_size=30))
def test_a_ban_is_never_lost(junk: str, more: str) -> None:
    """Whatever stands before and behind it, a directive after a comma outside of quotes is seen, and nothing raises."""
    assert isinstance(directives(junk), dict)
    if '"' not in more:
        assert "no-store" in directives(f"{more}, no-store")


@pytest.mark.parametrize(
    ("control", "pragma", "found"),
    [
        (None, None, NOTHING),
        (None, "no-cache", Asked(no_cache=True)),
        ("max-age=5", "no-cache", Asked(max_age=5)),
        ("no-cache, no-store", None, Asked(no_store=True, no_cache=True)),
        ("max-stale", None, Asked(max_stale=inf)),
        ("max-stale=5, min-fresh=2", None, Asked(max_stale=5, min_fresh=2)),
        ("only-if-cached", None, Asked(only_if_cached=True)),
        ("max-age=", None, Asked(max_age=0)),
    ],
)
def test_requests(control: str | None, pragma: str | None, found: Asked) -> None:
    """A request's directives, and Pragma where there are none."""
    assert asked(control, pragma) == found
    assert found.is_particular == (found != NOTHING)


@pytest.mark.parametrize("text", [",", " ,", "a,", 'a="', "=,", 'a="\\",', " "])
def test_time_does_not_grow_faster_than_length(text: str) -> None:
    """Whatever a stranger repeats a hundred thousand times is read in a moment, and not in hours."""
    assert directives(text * 100_000).keys() <= {"a"}
