"""When certificates are replaced: in their last third, spread, and at once where the clock says that it is too late."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.renewal import is_due, pause_after_failure, renewal_moment

DICE = st.floats(0, 1, exclude_max=True)
DAY = 86400.0


@given(st.floats(0, 4e9), st.floats(60, 3.2e8), DICE)
def test_in_the_last_third(start: float, life: float, dice: float) -> None:
    """The moment lies before two thirds of the life are over, by a twentieth of it at most."""
    moment = renewal_moment(start, start + life, dice)
    assert start + life * (2 / 3 - 1 / 20) - 1e-3 <= moment <= start + life * 2 / 3 + 1e-3


def test_proxies_started_together_are_spread() -> None:
    """Over all dice, the moments of a day's certificates lie more than an hour apart."""
    assert renewal_moment(0, DAY, 0) - renewal_moment(0, DAY, 0.999) > 3600


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (-1.0, True),  # The clock stood ahead when it was issued, and was set right since.
        (0.0, False),
        (0.5 * DAY, False),
        (0.66 * DAY, False),
        (0.67 * DAY, True),
        (1.5 * DAY, True),  # It expired while the laptop slept.
        (400 * DAY, True),
    ],
)
def test_due(now: float, expected: bool) -> None:
    """It is due from its moment on, long after it, and before its time."""
    assert is_due(renewal_moment(0, DAY, 0), 0, now) == expected


@given(st.integers(1, 10_000), DICE)
def test_failures_are_not_hammered(failures: int, dice: float) -> None:
    """After a failure there is a pause of at least half a second, and never one of more than a minute."""
    assert 0.5 <= pause_after_failure(failures, dice) <= 60


@given(st.integers(1, 6), DICE)
def test_pauses_grow(failures: int, dice: float) -> None:
    """Each pause is twice the one before, until they are long enough."""
    assert pause_after_failure(failures + 1, dice) == min(2 * pause_after_failure(failures, dice), 60 * (1 - dice / 2))
