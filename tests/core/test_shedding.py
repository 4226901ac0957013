"""Which lags are an overload and which are not, and what is refused for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.shedding import MOST, STALE, TICKS, Lag, Shares, shares


def told(lags: list[float], target: float = 0.1, period: float = 0.02) -> list[Shares | None]:
    """What is refused after each of the ticks, each so late."""
    lag, now, found = Lag(target), 100.0, []
    for late in lags:
        now += period + late
        found.append(lag.tick(late, now))
    return found


@pytest.mark.parametrize(
    ("times", "high", "normal", "low"),
    [
        (0.5, 0, 0, 0),
        (1.0, 0, 0, 0),
        (1.25, 0, 0, 0.5),
        (1.5, 0, 0, MOST),
        (2.25, 0, 0.5, MOST),
        (3.0, 0, MOST, MOST),
        (4.5, 0.5, MOST, MOST),
        (100.0, MOST, MOST, MOST),
    ],
)
def test_the_formula(times: float, high: float, normal: float, low: float) -> None:
    """Low priority is refused from the target on, normal from one and a half times, high from three times."""
    assert shares(times * 0.1, 0.1) == pytest.approx((high, normal, low))


@given(st.floats(0, 100), st.floats(0.001, 10))
def test_lower_goes_first(lag: float, target: float) -> None:
    """No request is refused more often than one of lower priority, and never all of any."""
    high, normal, low = shares(lag, target)
    assert 0 <= high <= normal <= low <= MOST < 1


def test_a_standing_lag() -> None:
    """A lag that stays is an overload once it was seen often enough, for as long as it stays."""
    found = told([0.3] * (TICKS + 3) + [0.01, 0.3, 0.3])
    assert found == [None] * (TICKS - 1) + [shares(0.3, 0.1)] * 4 + [None] * 3


@pytest.mark.parametrize(
    "lags",
    [
        [1.5, *[0.0] * 10],
        [0.0, 0.0, 1.5, 0.05, 0.0, 0.0, 0.0, 0.0],
        [1.0 * 0.5**step for step in range(12)],
        [1.0 * 0.75**step for step in range(20)],
        [0.09] * 20,
        [0.5, 0.5, 0.01] * 10,
    ],
    ids=["a pause", "a pause in traffic", "worked off", "worked off slowly", "just below", "on and off"],
)
def test_a_pause_is_no_overload(lags: list[float]) -> None:
    """One pause, however long, and the time it takes to work off what came meanwhile, refuse nothing."""
    assert told(lags) == [None] * len(lags)


def test_while_it_helps() -> None:
    """A lag that falls because requests are refused goes on being one until it is below the target."""
    found = told([0.4] * 6 + [0.3, 0.25, 0.2, 0.15, 0.12, 0.11])
    assert all(found[TICKS - 1 :])


def test_what_is_old_counts_no_more() -> None:
    """After a while without ticks, because nothing was under way, it is all forgotten."""
    lag = Lag(0.1)
    for number in range(TICKS):
        last = lag.tick(0.3, 10.0 + number * 0.3)
    assert last is not None
    now = 10.0 + TICKS * 0.3
    assert not lag.is_stale(now)
    assert lag.is_stale(now + STALE + 0.6)
    assert lag.tick(0.3, now + STALE + 1.2) is None


def test_switched_off() -> None:
    """With a target of 0 nothing is ever refused."""
    assert told([5.0] * 20, target=0.0) == [None] * 20
