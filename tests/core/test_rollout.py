"""Which check passes, which fails, which says nothing; and what follows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from meshctl.core.rollout import below, compares_at, first_step, follow, is_hopeless, judge, time_left
from meshctl.model.rollout import Measured, Plan, Verdict

PLAN = Plan("v2", max_p99=0.3)
COMPARED = Plan("v2", compare="baseline")
GOOD = Measured(1000, 2, 0.1)
NOTHING = Measured()


@pytest.mark.parametrize(
    ("plan", "new", "old", "verdict", "words"),
    [
        pytest.param(PLAN, GOOD, NOTHING, "pass", "0.2% errors, p99 100ms in 1000 requests", id="good"),
        pytest.param(PLAN, Measured(100, 1, 0.3), NOTHING, "pass", "1% errors", id="just within"),
        pytest.param(PLAN, Measured(100, 2, 0.1), NOTHING, "fail", "2% errors, 1% allowed", id="errors"),
        pytest.param(PLAN, Measured(1000, 0, 0.31), NOTHING, "fail", "p99 310ms, 300ms allowed", id="slow"),
        pytest.param(PLAN, NOTHING, GOOD, "inconclusive", "no requests", id="no data"),
        pytest.param(PLAN, Measured(99, 0, 0.1), GOOD, "inconclusive", "99 of 100 requests: too few", id="too few"),
        pytest.param(PLAN, Measured(20, 1, 0.1), GOOD, "inconclusive", "20 of 100", id="one error may still be fine"),
        pytest.param(PLAN, Measured(20, 2, 0.1), GOOD, "fail", "10% errors", id="can no longer pass"),
        pytest.param(PLAN, Measured(20, 0, 9.0), GOOD, "inconclusive", "20 of 100", id="slow, but too few to tell"),
        pytest.param(COMPARED, GOOD, GOOD, "pass", "baseline 0.2% errors", id="as good as the baseline"),
        pytest.param(COMPARED, Measured(1000, 49, 0.1), Measured(1000, 40, 0.1), "pass", "4.9%", id="both are bad"),
        pytest.param(COMPARED, Measured(1000, 51, 0.1), Measured(1000, 40, 0.1), "fail", "5% allowed", id="worse"),
        pytest.param(COMPARED, GOOD, Measured(9, 0, 0.1), "inconclusive", "9 of 100 requests to compare", id="no base"),
        pytest.param(
            COMPARED, Measured(20, 20, 0.1), Measured(9, 0, 0.1), "inconclusive", "20 of 100", id="both may be bad"
        ),
        pytest.param(COMPARED, Measured(1000, 0, 0.16), GOOD, "fail", "p99 160ms, 100ms on baseline", id="slower"),
        pytest.param(COMPARED, Measured(1000, 0, 0.14), GOOD, "pass", "p99 140ms", id="a little slower"),
        pytest.param(COMPARED, Measured(999, 0, 9.0, 0.1), Measured(999, 0, 0.1, 0.1), "pass", "p99 9s", id="few slow"),
        pytest.param(
            COMPARED, Measured(100, 0, 0.2, 0.2), Measured(999, 0, 0.1, 0.1), "fail", "p90 200ms", id="many slow"
        ),
        pytest.param(
            COMPARED, Measured(1000, 0, 0.009), Measured(1000, 0, 0.001), "pass", "p99 9ms", id="slower than notice"
        ),
        pytest.param(
            replace(COMPARED, max_p99=0.3), Measured(1000, 0, 0.29), GOOD, "pass", "p99 290ms", id="a limit says more"
        ),
        pytest.param(PLAN, Measured(given_up=50), NOTHING, "inconclusive", "0 of 100 requests: too few (50 were given",
                     id="nobody waited"),
        pytest.param(PLAN, Measured(given_up=50), GOOD, "fail", "gave up 100% of its requests, 0%",
                     id="nobody waited, though they do elsewhere"),
        pytest.param(PLAN, Measured(1000, 0, 0.1, given_up=200), GOOD, "fail", "gave up 16.7%", id="many left"),
        pytest.param(PLAN, Measured(1000, 0, 0.1, given_up=30), GOOD, "pass", "0% errors", id="some left"),
        pytest.param(PLAN, Measured(1000, 0, 0.1, given_up=200), Measured(800, given_up=200), "pass", "0% errors",
                     id="clients leave everywhere"),
    ],
)  # fmt: skip
def test_verdicts(plan: Plan, new: Measured, old: Measured, verdict: Verdict, words: str) -> None:
    """Each check is judged by its limits, and says what it found."""
    found = judge(plan, new, old)
    assert (found.verdict, words in found.reason) == (verdict, True), found


counts = st.integers(0, 1000)
measured = st.builds(
    lambda errors, others, p99: Measured(errors + others, errors, p99), counts, counts, st.floats(0, 9)
)
plans = st.builds(
    Plan,
    st.just("v2"),
    max_errors=st.floats(0, 1),
    max_p99=st.floats(0, 5),
    min_requests=st.integers(1, 500),
    failures=st.integers(1, 5),
    compare=st.sampled_from(["", "baseline", "v1"]),
)


@given(plans, measured, measured)
def test_only_enough_good_requests_pass(plan: Plan, new: Measured, old: Measured) -> None:
    """Whatever the limits: what passes has enough requests, errors within the limit, and somebody to compare with."""
    if judge(plan, new, old).verdict != "pass":
        return
    assert new.requests >= plan.min_requests
    assert new.error_rate <= plan.max_errors + (old.error_rate if plan.compare else 0) + 1e-9
    assert not plan.max_p99 or new.p99 <= plan.max_p99
    assert not plan.compare or old.requests >= plan.min_requests


@given(plans, measured, measured, counts)
def test_failing_early_is_failing(plan: Plan, new: Measured, old: Measured, more: int) -> None:
    """What fails by its errors before it has enough requests would fail with enough, however good the others were."""
    if new.requests < plan.min_requests and judge(plan, new, old).verdict == "fail":
        filled = Measured(plan.min_requests, new.errors, new.p99)
        assert judge(plan, filled, old).verdict == "fail"


@given(plans, measured, measured, counts)
def test_more_errors_never_help(plan: Plan, new: Measured, old: Measured, more: int) -> None:
    """With errors in the place of good answers a check that did not pass does not pass either."""
    worse = Measured(new.requests, min(new.requests, new.errors + more), new.p99)
    if judge(plan, new, old).verdict != "pass":
        assert judge(plan, worse, old).verdict != "pass"


@pytest.mark.parametrize(
    ("plan", "new", "expected"),
    [
        (PLAN, NOTHING, False),
        (PLAN, Measured(6, 6, 0.1), False),
        (PLAN, Measured(7, 7, 0.1), True),
        (PLAN, Measured(100, 5, 0.1), False),
        (PLAN, Measured(1000, 33, 0.1), False),
        (PLAN, Measured(1000, 34, 0.1), True),
        (COMPARED, Measured(7, 7, 0.1), False),
    ],
)
def test_hopeless(plan: Plan, new: Measured, expected: bool) -> None:
    """A version that only fails is found out after a handful of requests; one that may be fine is given its time."""
    assert is_hopeless(plan, new, NOTHING) is expected


@given(plans, measured, measured)
def test_the_hopeless_fail(plan: Plan, new: Measured, old: Measured) -> None:
    """What fails at once would fail its check."""
    if is_hopeless(plan, new, old):
        assert judge(plan, new, old).verdict == "fail"


@pytest.mark.parametrize(
    ("step", "failures", "verdict", "expected"),
    [
        (0, 0, "pass", ("advance", 1, 0)),
        (3, 1, "pass", ("advance", 4, 0)),
        (4, 0, "pass", ("promote", 4, 0)),
        (2, 1, "inconclusive", ("hold", 2, 1)),
        (2, 0, "fail", ("hold", 2, 1)),
        (2, 1, "fail", ("roll_back", 2, 2)),
        (4, 1, "fail", ("roll_back", 4, 2)),
    ],
)
def test_steps(step: int, failures: int, verdict: Verdict, expected: tuple[str, int, int]) -> None:
    """Passing goes on, failing waits and then goes back, knowing nothing stays."""
    assert follow(PLAN, step, failures, verdict) == expected


@given(st.lists(st.sampled_from(["pass", "fail", "inconclusive"]), max_size=40), st.integers(1, 4))
def test_every_way_through(verdicts: list[Verdict], failures: int) -> None:
    """Over any run of checks: one step at a time, promoted after a pass at each step, rolled back after that many
    failures without a pass between them, and in no other way."""
    plan = replace(PLAN, failures=failures)
    step = failed = passed = 0
    for verdict in verdicts:
        found = follow(plan, step, failed, verdict)
        passed += verdict == "pass"
        assert found.step == step + (found.action == "advance")
        assert (found.action == "promote") == (passed == len(plan.steps))
        assert (found.action == "roll_back") == (verdict == "fail" and failed + 1 == failures)
        if found.action in ("promote", "roll_back"):
            break
        step, failed = found.step, found.failures


@pytest.mark.parametrize(("weight", "expected"), [(0, 0), (1, 1), (10, 2), (99, 4), (100, 4)])
def test_beginning(weight: float, expected: int) -> None:
    """A version that has something already never gets less first."""
    assert first_step(PLAN, weight) == expected


@pytest.mark.parametrize(("weight", "floor", "expected"), [(100, 0, 50), (25, 0, 5), (1, 0, 0), (25, 5, 5), (5, 5, 5)])
def test_going_back(weight: float, floor: float, expected: float) -> None:
    """Back it goes over the same steps, to where it came from and no further."""
    assert below(PLAN, weight, floor) == expected


def test_time_left() -> None:
    """The rest of this check, and one for each step to come."""
    assert (time_left(PLAN, 0, 30), time_left(PLAN, 4, -5)) == (270, 0)


def test_nobody_to_compare_with() -> None:
    """Where the new version has everything, it is held to its limits alone."""
    assert compares_at(COMPARED, 50).compare == "baseline"
    assert judge(compares_at(COMPARED, 100), GOOD, NOTHING).verdict == "pass"
