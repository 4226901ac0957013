"""How long things live, in words and bars."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.cli.lifetimes import bar, left, span


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "0s"),
        (0, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (61, "1m 1s"),
        (3600, "1h"),
        (3601, "1h"),
        (86399, "23h 59m"),
        (86400, "1d"),
        (90000, "1d 1h"),
        (3650 * 86400, "3650d"),
    ],
)
def test_span(seconds: float, expected: str) -> None:
    """A span has at most two units that stand beside each other."""
    assert span(seconds) == expected


def test_left() -> None:
    """What is over says since when."""
    assert (left(7200, 0), left(0, 7200), left(5, 5)) == ("2h", "expired 2h ago", "0s")


@pytest.mark.parametrize(
    ("now", "full"), [(-1, 10), (0, 10), (1, 10), (10, 9), (11, 9), (50, 5), (99, 1), (99.9, 1), (100, 0), (500, 0)]
)
def test_bar(now: float, full: int) -> None:
    """The bar shows what is left, and an empty bar is nothing."""
    assert bar(0, 100, now) == "█" * full + "░" * (10 - full)


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_bars_are_as_wide_as_each_other(start: float, end: float, now: float) -> None:
    """Whatever the dates, a bar has ten places."""
    assert len(bar(start, end, now)) == 10
