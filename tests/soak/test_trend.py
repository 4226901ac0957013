"""Growth is told from noise, by tables and by what holds for all rows of readings."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from .trend import Allowed, halves, trend

ALLOWED = Allowed(10, 0.05)


def _readings(values: list[float]) -> list[tuple[float, float]]:
    return [(20.0 * number, value) for number, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "is_grown"),
    [
        ([100.0] * 30, False),
        ([100.0 + number for number in range(30)], True),
        ([100.0 - number for number in range(30)], False),
        ([100.0] * 29 + [10_000.0], False),
        ([100.0] * 10 + [109.0] * 20, False),
        ([100.0] * 10 + [150.0] * 20, False),
        ([100.0 + 15 * (number // 5) for number in range(30)], True),
        ([100.0 + 100 * (number % 2) for number in range(30)], False),
        ([10_000.0 + number * 15 for number in range(30)], False),
    ],
    ids=["flat", "leak", "shrinks", "outlier", "small step", "one step", "stairs", "saw", "small share"],
)
def test_judged(values: list[float], is_grown: bool) -> None:
    """Steady growth and stairs are found; what shrinks, swings, leaps once or stays within the allowance is none."""
    assert trend(_readings(values)).exceeds(ALLOWED) is is_grown


@settings(max_examples=20, deadline=None)
@given(some.integers(0, 2**32), some.floats(1.0, 50.0))
def test_a_leak_in_noise(seed: int, leak: float) -> None:
    """A leak is found in noise that is half as large as what has leaked, and noise alone is no leak."""
    dice = random.Random(seed)
    noise = [dice.uniform(0, leak * 15) for _ in range(60)]
    allowed = Allowed(leak * 18)
    assert not trend(_readings(noise)).exceeds(allowed)
    assert trend(_readings([leak * number + extra for number, extra in enumerate(noise)])).exceeds(allowed)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([100.0] * 20, (0.0, 0.0)),
        ([100.0 + number for number in range(20)], (9.0, 9.0)),
        ([100.0 + min(number, 9) for number in range(20)], (9.0, 0.0)),
        ([100.0 + max(number, 10) for number in range(20)], (0.0, 9.0)),
    ],
    ids=["flat", "leak", "levels off", "begins late"],
)
def test_halves(values: list[float], expected: tuple[float, float]) -> None:
    """What levels off rises in the first half alone, a leak in both."""
    assert halves(_readings(values)) == pytest.approx(expected)


def test_too_few() -> None:
    """Two readings are no trend, and five have no halves that are."""
    with pytest.raises(ValueError, match="at least 3"):
        trend([(0.0, 1.0), (1.0, 2.0)])
    with pytest.raises(ValueError, match="at least 6"):
        halves(_readings([1.0] * 5))
