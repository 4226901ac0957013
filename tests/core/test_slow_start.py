"""The share of an endpoint that has just appeared."""

from __future__ import annotations

import pytest

from meshctl.core.slow_start import effective_weight


@pytest.mark.parametrize(
    ("weight", "age", "slow_start", "expected"),
    [
        (1.0, 0.0, 30.0, 0.1),
        (1.0, -1.0, 30.0, 0.1),
        (1.0, 15.0, 30.0, 0.55),
        (4.0, 15.0, 30.0, 2.2),
        (1.0, 30.0, 30.0, 1.0),
        (1.0, 1e9, 30.0, 1.0),
        (2.0, 0.0, 0.0, 2.0),
        (0.0, 5.0, 30.0, 0.0),
    ],
)
def test_effective_weight(weight: float, age: float, slow_start: float, expected: float) -> None:
    """The share grows in a straight line from a tenth to the whole, and is whole at once without slow start."""
    assert effective_weight(weight, age, slow_start) == pytest.approx(expected)
