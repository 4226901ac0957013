"""Counting failures and requests over the last seconds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.failure_rate import FailureRate


@pytest.mark.parametrize(
    ("requests", "failures", "rate", "minimum", "expected"),
    [
        (20, 10, 0.5, 20, True),
        (20, 9, 0.5, 20, False),
        (19, 19, 0.5, 20, False),
        (1000, 10, 0.01, 20, True),
        (100, 29, 0.29, 1, True),
        (0, 5, 1.0, 5, True),
        (100, 0, 0.0, 1, False),
    ],
)
def test_is_above(requests: int, failures: int, rate: float, minimum: int, expected: bool) -> None:
    """A share counts from the minimum of requests on, exactly; failures that no request was told of are requests."""
    counted = FailureRate(10.0)
    counted.count(5.0, requests)
    for _ in range(failures):
        counted.fail(5.0)
    assert counted.is_above(rate, minimum, 5.0) is expected


def test_what_is_past_is_forgotten() -> None:
    """After the window nothing counts any more, a tenth of it before that all does; clearing forgets at once."""
    counted = FailureRate(10.0)
    counted.count(100.0, 4)
    counted.fail(100.0)
    assert str(counted) == "1 of 4 requests failed in the last 10s"
    assert counted.is_above(0.25, 4, 108.9)
    assert not counted.is_above(0.25, 4, 110.0)
    assert str(counted) == "0 of 0 requests failed in the last 10s"
    counted.fail(111.0)
    counted.clear()
    assert (counted.failures, counted.requests) == (0, 0)


@given(st.lists(st.tuples(st.floats(0, 4), st.integers(0, 3), st.booleans()), max_size=60), st.floats(0.5, 20))
def test_like_a_list_of_all(steps: list[tuple[float, int, bool]], window: float) -> None:
    """The sums lie between those of a window that is a tenth shorter and those of the whole one."""
    counted, now, all_of_them = FailureRate(window), 0.0, []
    for wait, requests, fails in steps:
        now += wait
        counted.count(now, requests)
        if fails:
            counted.fail(now)
        all_of_them.append((now, fails))
        most = sum(failed for at, failed in all_of_them if at > now - window)
        least = sum(failed for at, failed in all_of_them if at > now - window * 0.9)
        assert least <= counted.failures <= most
