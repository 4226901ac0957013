"""When a request may be sent again, how long to wait, and how many may."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.core.retry import LONGEST_WAIT, RetryBudget, backoff, may_retry, pause
from meshctl.model import policy
from meshctl.model.policy import Retry

ALL = ("connect", "reset", "refused", "timeout", "503")


@pytest.mark.parametrize(
    ("method", "reason", "sent", "expected"),
    [
        # Nothing was sent: any method may go again.
        ("GET", "connect", False, True),
        ("POST", "connect", False, True),
        ("PATCH", "reset", False, True),
        ("POST", "refused", False, True),
        ("BREW", "timeout", False, True),
        # It may have reached the application: only what may be done twice (RFC 9110 §9.2.2).
        ("GET", "reset", True, True),
        ("HEAD", "timeout", True, True),
        ("OPTIONS", "reset", True, True),
        ("TRACE", "reset", True, True),
        ("PUT", "timeout", True, True),
        ("DELETE", "reset", True, True),
        ("POST", "reset", True, False),
        ("POST", "timeout", True, False),
        ("PATCH", "reset", True, False),
        ("CONNECT", "reset", True, False),
        ("BREW", "reset", True, False),
        # Methods are case-sensitive: "get" is some other method.
        ("get", "reset", True, False),
        # A status is an answer of the application, whatever the caller believes was sent.
        ("GET", "503", True, True),
        ("POST", "503", True, False),
        ("POST", "503", False, False),
    ],
)
def test_what_was_sent_decides(method: str, reason: str, sent: bool, expected: bool) -> None:
    """A request that may have reached the application is repeated only if its method is idempotent."""
    assert may_retry(Retry(1, ALL), method=method, reason=reason, sent=sent, attempt=0, replayable=True) is expected


@pytest.mark.parametrize(
    "changed",
    [
        {"retry": Retry(0, ALL)},
        {"retry": Retry(1, ("reset",))},
        {"retry": Retry(1, ())},
        {"attempt": 1},
        {"attempt": 7},
        {"reason": "502"},
        {"replayable": False},
    ],
)
def test_refused(changed: dict[str, Any]) -> None:
    """No retry without attempts left, for a reason not listed, or with a body that is gone."""
    given = {
        "retry": Retry(1, ALL),
        "method": "GET",
        "reason": "connect",
        "sent": False,
        "attempt": 0,
        "replayable": True,
    }
    assert may_retry(**given) is True
    assert may_retry(**(given | changed)) is False


def test_attempts_are_the_extra_ones() -> None:
    """`attempts = 2` allows two further attempts and no third."""
    allowed = [
        may_retry(Retry(2), method="GET", reason="reset", sent=True, attempt=attempt, replayable=True)
        for attempt in range(4)
    ]
    assert allowed == [True, True, False, False]


@pytest.mark.parametrize(
    ("attempt", "dice", "expected"),
    [
        (0, 0.0, 0.025),
        (0, 0.5, 0.01875),
        (1, 0.0, 0.05),
        (2, 0.0, 0.1),
        (3, 0.0, 0.2),
        (4, 0.0, 0.25),
        (10_000, 0.0, 0.25),
    ],
)
def test_backoff(attempt: int, dice: float, expected: float) -> None:
    """Waits double from 25 ms to 250 ms, less what the dice take."""
    assert backoff(attempt, dice) == pytest.approx(expected)


@given(st.integers(0, 100), st.floats(0, 1, exclude_max=True))
def test_backoff_keeps_half(attempt: int, dice: float) -> None:
    """Jitter takes away at most half of a wait."""
    assert 0.0125 <= backoff(attempt, dice) <= 0.25


@pytest.mark.parametrize(
    ("asked", "same", "expected"),
    [
        (0.0, True, 0.025),
        (0.01, True, 0.025),
        (1.0, True, 1.0),
        (LONGEST_WAIT, True, LONGEST_WAIT),
        (LONGEST_WAIT + 1, True, inf),
        # Another endpoint has not asked for anything.
        (1.0, False, 0.025),
        (3600.0, False, 0.025),
    ],
)
def test_who_asks_for_time_gets_it(asked: float, same: bool, expected: float) -> None:
    """The endpoint that asked is left alone for that long, or not asked again at all; others are asked as usual."""
    assert pause(0, 0.0, asked, same=same) == pytest.approx(expected)


@given(st.integers(0, 20), st.floats(0, 0.999), st.floats(0, 1e9), st.booleans())
def test_a_pause_never_breaks_its_word(attempt: int, dice: float, asked: float, same: bool) -> None:
    """No pause is shorter than the usual one, nor than what the same endpoint asked for, nor finite beyond the most."""
    found = pause(attempt, dice, asked, same=same)
    assert found >= backoff(attempt, dice)
    assert found >= asked or not same
    assert found == inf or found <= LONGEST_WAIT


# --- budget -----------------------------------------------------------------------------------------------------------


def spend(budget: RetryBudget, now: float, most: int = 10_000) -> int:
    """How many retries the budget gives at once."""
    return next((count for count in range(most) if not budget.withdraw(now)), most)


@pytest.mark.parametrize(("requests", "expected"), [(0, 100), (4, 100), (5, 101), (1000, 300), (10_000, 2100)])
def test_budget_is_a_share_and_a_floor(requests: int, expected: int) -> None:
    """Over ten seconds a service may retry a fifth of its requests and a hundred besides."""
    budget = RetryBudget()
    for _ in range(requests):
        budget.deposit(50.0)
    assert spend(budget, 50.0) == expected


def test_what_is_left_is_what_can_be_spent() -> None:
    """A budget tells how many retries it has left, before it is spent, after it, and when time has gone by."""
    budget = RetryBudget(ratio=0.5, floor_per_second=0.3)
    budget.deposit(1.0, 10)
    assert budget.left(1.0) == 8.0
    assert spend(budget, 1.0) == 8
    assert budget.left(1.0) == 0.0
    assert budget.left(100.0) == 3.0 == spend(budget, 100.0)


def test_budget_comes_back_with_time() -> None:
    """What was spent is free again ten seconds later, and not much before."""
    budget = RetryBudget()
    assert spend(budget, 50.0) == 100
    assert not budget.withdraw(59.9)
    assert spend(budget, 60.0) == 100


def test_old_requests_do_not_count() -> None:
    """Requests of more than ten seconds ago allow no retries."""
    budget = RetryBudget(floor_per_second=0)
    for _ in range(100):
        budget.deposit(50.0)
    assert not RetryBudget(floor_per_second=0).withdraw(50.0)
    assert not budget.withdraw(60.0)
    for _ in range(100):
        budget.deposit(1e6)
    assert spend(budget, 1e6) == 20


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 4)), max_size=200))
def test_budget_equals_a_count(happened: list[tuple[bool, float]]) -> None:
    """The bucketed budget decides what counting every event of the window's whole tenths decides."""
    budget, now = RetryBudget(ratio=0.5, floor_per_second=0.2), 0.0
    requests: list[int] = []
    retries: list[int] = []
    for is_retry, wait in happened:
        now += wait
        second = int(now)
        if not is_retry:
            budget.deposit(now)
            requests.append(second)
            continue
        recent = sum(at > second - 10 for at in requests) * 0.5 + 2
        expected = sum(at > second - 10 for at in retries) + 1 <= recent
        assert budget.withdraw(now) is expected
        retries += [second] * expected


def test_a_budget_may_change() -> None:
    """Other settings hold at once, and what was spent stays spent."""
    budget = RetryBudget()
    assert spend(budget, 50.0, most=30) == 30
    budget.configure(policy.RetryBudget(ratio=0.0, floor=4.0))
    assert spend(budget, 50.0) == 10
    budget.configure(policy.RetryBudget(ratio=0.0, floor=0.0))
    assert spend(budget, 60.0) == 0
