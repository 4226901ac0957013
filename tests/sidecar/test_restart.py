"""Which apps are started again, and when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.sidecar.restart import FIRST_PAUSE, LONGEST_PAUSE, STEADY, Policy, Restarts


@pytest.mark.parametrize(
    ("policy", "code", "is_restarted"),
    [
        ("no", 0, False),
        ("no", 1, False),
        ("on-failure", 0, False),
        ("on-failure", 1, True),
        ("on-failure", 137, True),
        ("always", 0, True),
        ("always", 1, True),
    ],
)
def test_policies(policy: Policy, code: int, is_restarted: bool) -> None:
    """An app is started again never, when it failed, or always."""
    restarts = Restarts(policy)
    assert (restarts.pause(code, 1.0) is not None, restarts.count) == (is_restarted, int(is_restarted))


def test_pauses_grow() -> None:
    """Each short run doubles the pause, up to a limit; a long one begins anew."""
    restarts = Restarts("always")
    pauses = [restarts.pause(1, 0.1) for _ in range(9)]
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0]
    assert restarts.pause(1, STEADY) == FIRST_PAUSE
    assert restarts.pause(1, 0.1) == 2 * FIRST_PAUSE


@given(st.lists(st.floats(0, 1e6)))
def test_pauses_have_bounds(runs: list[float]) -> None:
    """However it ran, the pause is between the first and the longest."""
    restarts = Restarts("always")
    assert all(FIRST_PAUSE <= (restarts.pause(1, ran) or 0) <= LONGEST_PAUSE for ran in runs)
