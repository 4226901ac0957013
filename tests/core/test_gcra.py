"""Rates: what may come, when the next one may, and that it is never more than was said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.gcra import Rate

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("count", "window", "burst", "at", "taken"),
    [
        (10, 1.0, 3, [0, 0, 0, 0], [True, True, True, False]),
        (10, 1.0, 1, [0, 0.05, 0.1, 0.2], [True, False, True, True]),
        (1, 60.0, 1, [0, 59.9, 60.0], [True, False, True]),
        (5, 10.0, 5, [0, 0, 0, 0, 0, 1.9, 2.0, 2.0], [True] * 5 + [False, True, False]),
        (10, 1.0, 3, [0, 0, 0, 100, 100, 100, 100], [True] * 6 + [False]),
        (1000, 1.0, 2, [0, 0, 0.0005, 0.001], [True, True, False, True]),
    ],
)
def test_a_burst_and_then_the_rate(count: int, window: float, burst: int, at: list[float], taken: list[bool]) -> None:
    """As many as the burst come at once, then one for each interval; a rest brings the burst back and no more."""
    rate = Rate(count, window, burst)
    rest, found = 0.0, []
    for each in at:
        after = rate.take(rest, NOW + each)
        found.append(after > 0)
        rest = after or rest
    assert taken == found


def _full_in(rate: Rate, rest: float, now: float) -> int:
    return rate.told((rate.reach - (rest - now)) // rate.step)[1]


def test_what_is_told() -> None:
    """What is left counts down with each request and up with time; the wait ends when the next one is taken."""
    rate = Rate(60, 60.0, 3)
    rest, left = 0.0, []
    for _ in range(3):
        rest = rate.take(rest, NOW)
        left.append((rate.left(rest, NOW), _full_in(rate, rest, NOW)))
    assert left == [(2, 1), (1, 2), (0, 3)]
    assert (0.0, pytest.approx(1.0)) == (rate.take(rest, NOW), rate.wait(rest, NOW))
    assert (rate.left(rest, NOW + 1), rate.wait(rest, NOW + 1), _full_in(rate, rest, NOW + 1)) == (1, 0.0, 2)
    assert (rate.left(rest, NOW + 10), _full_in(rate, rest, NOW + 10)) == (3, 0)


@given(
    st.integers(1, 5000),
    st.sampled_from([1.0, 10.0, 60.0, 86400.0]),
    st.integers(1, 50),
    st.lists(st.floats(0, 2.0), min_size=1, max_size=120),
)
def test_never_more_than_was_said(count: int, window: float, burst: int, pauses: list[float]) -> None:
    """Whenever requests come, between any two of those taken lie no more than the burst and what the rate gives; what
    `left` promises is taken, and after `wait` the next one is."""
    rate = Rate(count, window, burst)
    now, rest = NOW, 0.0
    taken: list[float] = []
    for pause in pauses:
        now += pause * rate.interval * burst
        promised = rate.left(rest, now)
        after = rate.take(rest, now)
        assert (after > 0) == (promised > 0)
        if after:
            taken.append(now)
            rest = after
        else:
            assert rate.take(rest, now + rate.wait(rest, now)) > 0
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            allowed = burst + (taken[last] - taken[first]) / rate.interval
            assert last - first + 1 <= allowed + 0.01


@given(now=st.floats(0.0, 1e9), count=st.integers(1, 1_000))
def test_seconds_are_not_one_more_by_rounding(now: float, count: int) -> None:
    """Of one request at any time it is told when it is forgotten, to the second."""
    rate = Rate(count, count * 1800.0, 1)
    assert _full_in(rate, rate.take(0.0, now), now) == 1800


@given(
    st.integers(1, 5000),
    st.sampled_from([1.0, 7.0, 60.0, 86400.0]),
    st.integers(1, 50),
    st.lists(st.floats(0, 2.0), min_size=1, max_size=20),
)
def test_steps_tell_the_same(count: int, window: float, burst: int, pauses: list[float]) -> None:
    """What is told by whole steps is what is left, never more, and less only for the part of a step that was waited;
    and the seconds are those until the time of rest, or the whole one after."""
    rate = Rate(count, window, burst)
    now, rest = NOW, 0.0
    for pause in pauses:
        now += pause * rate.interval
        rest = rate.take(rest, now) or rest
        left, seconds = rate.told((rate.reach - (rest - now)) // rate.step)
        assert rate.left(rest + rate.step, now) <= left <= rate.left(rest, now)
        assert rest - now - 0.01 - rate.interval / 500 <= seconds <= rest - now + rate.step + 1.0
