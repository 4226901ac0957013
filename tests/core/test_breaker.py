"""The circuit breaker: when it opens, whom it lets through, how it closes again."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshctl.core.breaker import Breaker
from meshctl.model.policy import Breaker as Policy

DEFAULT = Policy()


def opened(policy: Policy = DEFAULT, now: float = 100.0) -> Breaker:
    """One that has just opened."""
    breaker = Breaker(policy)
    break_it(breaker, now)
    return breaker


def break_it(breaker: Breaker, now: float) -> None:
    """Have it open by as many failures as it takes."""
    for _ in range(breaker.policy.minimum):
        breaker.failed("reset", now)
    assert breaker.state == "open"


def probed(breaker: Breaker, now: float) -> Breaker:
    """The same after its probes have passed."""
    for _ in range(breaker.policy.probes):
        assert breaker.admits(now, 0.0)
        breaker.succeeded(now, breaker.opened)
    return breaker


@pytest.mark.parametrize(
    ("policy", "outcomes", "expected"),
    [
        (DEFAULT, "f" * 19, ""),
        (DEFAULT, "f" * 20, "20 of 20 requests failed in the last 10s: reset"),
        (DEFAULT, "fs" * 9 + "sf", "10 of 20 requests failed in the last 10s: reset"),
        (DEFAULT, "fss" * 50, ""),
        (DEFAULT, "s" * 100 + "f" * 99, ""),
        (DEFAULT, "s" * 100 + "f" * 100, "100 of 200 requests failed in the last 10s: reset"),
        (Policy(rate=0.05), "s" * 95 + "f" * 5, "5 of 100 requests failed in the last 10s: reset"),
        (Policy(failures=3), "ffsffsff", ""),
        (Policy(failures=3), "ffsfff", "3 failures in a row: reset"),
        (Policy(failures=3, rate=0.0), "fs" * 100, ""),
        (Policy(rate=0.0), "f" * 100, ""),
    ],
)
def test_what_opens_it(policy: Policy, outcomes: str, expected: str) -> None:
    """It opens by a share of failures among enough requests, or by failures in a row, and says which it was."""
    breaker = Breaker(policy)
    for outcome in outcomes:
        breaker.count(50.0, 1)
        if outcome == "f":
            breaker.failed("reset", 50.0)
        else:
            breaker.succeeded(50.0)
    assert breaker.reason == expected
    assert (breaker.state == "open") is breaker.is_guarding is bool(expected)


def test_old_failures_do_not_open_it() -> None:
    """Failures beyond the window are forgotten."""
    breaker = Breaker(DEFAULT)
    for second in range(100):
        breaker.count(second, 1)
        breaker.failed("reset", second)
    assert breaker.state == "closed"


def test_open_lets_nobody_through() -> None:
    """Until its time is over nobody gets through, whatever the dice show; it says why, since when and how long."""
    breaker = opened()
    assert not any(breaker.admits(100.0 + tenth / 10, 0.0) for tenth in range(50))
    assert breaker.retry_after(103.0) == 2.0
    said = "open since 3s ago, because 20 of 20 requests failed in the last 10s: reset; it is tried again in 2s"
    assert breaker.explain(103.0) == said


def test_probes_close_it() -> None:
    """After its time three requests at a time are let through; when three have passed it closes step by step."""
    breaker = opened()
    assert [breaker.admits(105.0, 0.0) for _ in range(5)] == [True, True, True, False, False]
    assert (breaker.state, breaker.is_probing) == ("half_open", True)
    breaker.succeeded(105.5, breaker.opened)
    assert breaker.admits(105.5, 0.0)
    breaker.succeeded(105.5, breaker.opened)
    breaker.succeeded(106.0, breaker.opened)
    assert (breaker.state, breaker.until) == ("ramping", 116.0)
    assert [breaker.admits(106.0, dice) for dice in (0.0, 0.09, 0.1, 0.9)] == [True, True, False, False]
    assert [breaker.admits(111.0, dice) for dice in (0.54, 0.56)] == [True, False]
    assert breaker.admits(116.0, 0.999)
    assert (breaker.state, breaker.is_guarding) == ("closed", False)


def test_a_probe_that_fails_opens_it_for_longer() -> None:
    """One failed probe is enough, and the time doubles up to ten times the first; failures of others say nothing."""
    breaker, now, times = opened(), 105.0, []
    for _ in range(6):
        assert breaker.admits(now, 0.0)
        breaker.failed("late", now)
        assert breaker.state == "half_open"
        breaker.failed("reset", now, breaker.opened)
        assert (breaker.state, breaker.reason) == ("open", "a probe failed: reset")
        times.append(breaker.until - now)
        now = breaker.until
    assert times == [10, 20, 40, 50, 50, 50]


def test_probes_of_an_earlier_time_say_nothing() -> None:
    """What a probe proves after another one opened it again is too late."""
    breaker = opened()
    first = breaker.opened
    assert breaker.admits(105.0, 0.0)
    assert breaker.admits(105.0, 0.0)
    breaker.failed("reset", 105.0, first)
    assert breaker.admits(115.0, 0.0)
    for _ in range(3):
        breaker.succeeded(115.0, first)
        breaker.give_back(first)
        breaker.failed("reset", 115.0, first)
    assert breaker.state == "half_open"
    assert [breaker.admits(115.0, 0.0) for _ in range(3)] == [True, True, False]


def test_probes_are_given_back() -> None:
    """A probe that proves nothing makes room for the next one."""
    breaker = opened()
    for _ in range(50):
        assert breaker.admits(105.0, 0.0)
        breaker.give_back(breaker.opened)
    assert breaker.state == "half_open"


def test_failures_while_it_closes_open_it_again() -> None:
    """A share of failures during the ramp opens it for longer; one request among many does not."""
    breaker = probed(opened(), 105.0)
    breaker.count(106.0, 19)
    breaker.failed("reset", 106.0)
    assert breaker.state == "ramping"
    break_it(breaker, 107.0)
    assert breaker.until == 117.0


@pytest.mark.parametrize(("served", "time"), [(1.0, 10.0), (6.0, 5.0)])
def test_good_service_starts_over(served: float, time: float) -> None:
    """Closed for as long as it was last open, it opens for the first time again; sooner it doubles."""
    breaker = probed(opened(Policy(ramp=0.0)), 105.0)
    assert breaker.state == "closed"
    break_it(breaker, 105.0 + served)
    assert breaker.until == 105.0 + served + time


steps = st.tuples(st.sampled_from(["ask", "ask", "fail", "succeed", "give back", "stray", "wait"]), st.integers(0, 9))


@settings(max_examples=200)
@given(st.integers(1, 4), st.sampled_from([0.0, 3.0]), st.lists(steps, max_size=80))
def test_whatever_happens(probes: int, ramp: float, happened: list[tuple[str, int]]) -> None:
    """Half open it never has more probes under way than it may; open it lets nobody through, and says so before it is
    asked; and it always comes back."""
    breaker = Breaker(Policy(failures=2, minimum=3, open=2.0, probes=probes, ramp=ramp))
    now, under_way = 0.0, []
    for step, number in happened:
        if step == "wait":
            now += number / 2
        elif step == "ask":
            was_open = breaker.state == "open" and now < breaker.until
            is_shut = breaker.is_shut(now)
            assert is_shut or not was_open
            if breaker.admits(now, number / 10):
                assert not is_shut
                under_way.append(breaker.opened if breaker.is_probing else 0)
            if breaker.state == "half_open":
                assert sum(each == breaker.opened for each in under_way) <= probes
        elif step == "stray":
            breaker.failed("stray", now)
        elif under_way:
            probe = under_way.pop(number % len(under_way))
            breaker.count(now, 1)
            if step == "fail":
                breaker.failed("reset", now, probe)
            elif step == "succeed":
                breaker.succeeded(now, probe)
            else:
                breaker.give_back(probe)
    for probe in under_way:
        breaker.give_back(probe)
    now += 20.0
    if breaker.is_guarding:
        for _ in range(probes):
            if breaker.admits(now, 0.0) and breaker.is_probing:
                breaker.succeeded(now, breaker.opened)
    assert breaker.admits(now + ramp, 0.999)
    assert not breaker.is_guarding


@given(st.floats(0, 1, exclude_max=True), st.lists(st.floats(0, 12), min_size=2, max_size=20))
def test_the_ramp_only_grows(dice: float, times: list[float]) -> None:
    """Who would be let through at one moment of the ramp is at every later one."""
    breaker = probed(opened(), 105.0)
    let = [breaker.admits(105.0 + each, dice) for each in sorted(times)]
    assert let == sorted(let)
