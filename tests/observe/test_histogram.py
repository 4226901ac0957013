"""Durations are counted exactly and quantiles are as good as promised."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from math import ceil, inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.observe.histogram import BOUNDS, COARSE, Distribution, Histogram

INSIDE = st.one_of(st.floats(50e-6, 60.0), st.sampled_from(BOUNDS), st.sampled_from(COARSE))
ANY = st.one_of(INSIDE, st.floats(0.0, 1000.0))


def counted(durations: list[float]) -> Distribution:
    histogram = Histogram()
    half = len(durations) // 2
    histogram.add(durations[:half])
    histogram.add(durations[half:])
    return histogram.freeze()


def shape(distribution: Distribution) -> tuple[int, tuple[int, ...]]:
    return distribution.start, distribution.counts


def test_bounds_are_close_and_hold_those_exposed() -> None:
    """Neighbouring bounds differ by at most 14.3 %, from 50 µs to 60 s, and every exposed bound is one of them."""
    assert BOUNDS[0] == 50e-6
    assert BOUNDS[-1] == 60.0
    assert max(high / low for low, high in pairwise(BOUNDS)) <= 1.1430
    assert set(COARSE) <= set(BOUNDS)


@given(st.lists(INSIDE, min_size=1, max_size=200), st.sampled_from([0.01, 0.5, 0.9, 0.95, 0.99, 1.0]))
def test_quantiles_are_at_most_seven_percent_off(durations: list[float], q: float) -> None:
    """A quantile differs from the exact one (nearest rank) by no more than 7 %."""
    exact = sorted(durations)[max(1, ceil(q * len(durations))) - 1]
    assert counted(durations).quantile(q) == pytest.approx(exact, rel=0.07)


@given(st.lists(ANY, max_size=200))
def test_exposed_counts_are_exact(durations: list[float]) -> None:
    """At each exposed bound stands exactly the number of durations at or below it, and the sum is theirs."""
    ordered = sorted(durations)
    distribution = counted(durations)
    assert [(bound, bisect_right(ordered, bound)) for bound in COARSE] == list(distribution.cumulative())
    assert len(durations) == distribution.count
    assert sum(durations) == pytest.approx(distribution.seconds)


@given(st.lists(ANY, max_size=60), st.lists(ANY, max_size=60))
def test_sum_and_difference(earlier: list[float], later: list[float]) -> None:
    """Two distributions added are that of all durations; the earlier one taken away leaves what came after it."""
    first, second, both = counted(earlier), counted(later), counted(earlier + later)
    assert shape(both) == shape(first.plus(second)) == shape(second.plus(first))
    assert shape(second) == shape(both.minus(first))
    assert sum(later) == pytest.approx(both.minus(first).seconds, abs=1e-6)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.0, 50e-6), (1e-9, 50e-6), (60.001, 60.0), (3600.0, 60.0), (inf, 60.0)]
)
def test_what_lies_outside_is_counted_at_the_edge(seconds: float, expected: float) -> None:
    """A duration beyond the bounds is counted, and its quantile is the nearest bound."""
    assert expected == counted([seconds]).quantile(0.5)
    assert counted([seconds]).count == 1


def test_nothing_has_no_quantile() -> None:
    """Without durations there is neither count nor quantile."""
    assert Distribution().quantile(0.99) == 0.0
    assert Histogram().freeze() == Distribution()
